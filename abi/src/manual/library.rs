//! Functions that need no Nucleus ([`crate::library`]).

use super::*;

const NULL: &str = "The pointer is null. Another address that is not the caller's ends as any access to it does, since no call of the Nucleus looks at it.";

section! {
"uiBuild": "Composes a UI that others can compute."
contract "For `K_UIPORT` the UI is that of the well-known port `stamp` of a site, which `portDeclare` takes there; for `K_UISITE` it names the site (with stamp 0 it is the one that \
the site recognises, see `uiSite`); for `K_UIGROUP` it is the UI of the well-known group `stamp` of the user class, as in the capability that `grpAllocate` gives. A site number of 0 says nothing \
of where the object is; well-known groups belong to no site, so that 0 is the only number for them. No object is made and nobody is asked: using the UI in `portDeclare` is what takes privilege."
arguments {
    ui "Where the UI goes.";
    type "`K_UISITE`, `K_UIPORT` or `K_UIGROUP`.";
    site "Number of the site, 1 to 8191; 0: none.";
    stamp "0 to 0x07FFFFFF.";
}
result "0."
errors {
    Inval "There is no such type; the site number is above 8191 (`SITE_MAX`), or not 0 for a group; or the stamp is above 0x07FFFFFF (`UI_STAMP_MAX`).";
    Fault NULL;
}
assertions [7..=8, 109..=109]
example r"/* A message to the well-known port 100 of a site. */
int send_to_service(unsigned int site, const KnMsgDesc *message)
{
    KnIpcDest dest = { 0 };
    int result = uiBuild(&dest.target, K_UIPORT, site, 100);
    return result < 0 ? result : ipcSend(message, K_DEFAULTPORT, &dest);
}
"
see ["uiSite", "portDeclare", "grpAllocate", "uiGetSite"]

"uiSite": "The predefined UI of a site."
contract "The same as `uiBuild` with `K_UISITE` and stamp 0. It serves as co-target: in the selective mode a message reaches a member of the group on that site, in the exclusive mode a member on \
another one."
arguments {
    ui "Where the UI goes.";
    site "Number of the site, 0 to 8191.";
}
result "0."
errors {
    Inval "The number is above 8191 (`SITE_MAX`).";
    Fault NULL;
}
assertions [7..=7, 155..=155, 161..=161]
example r"/* A message to the member of a group on one site. */
int send_to_site(const KnUniqueId *group, unsigned int site, const KnMsgDesc *message)
{
    KnIpcDest dest = { *group, { 0 } };
    int result = ipcTarget(&dest.target, K_FUNCUMODE);
    if (result >= 0)
        result = uiSite(&dest.co_target, site);
    return result < 0 ? result : ipcSend(message, K_DEFAULTPORT, &dest);
}
"
see ["uiBuild", "uiLocalSite", "ipcTarget", "uiIsLocal"]

"uiGetSite": "The site number in a UI."
contract "The number of the site that the object was made on, or that its maker wrote into a static UI. An object may have moved since: the number says where to ask first, not where it is."
arguments {
    ui "The UI.";
}
result "The number; 0 for a UI without one."
errors {
    Inval "The UI is null.";
    Fault NULL;
}
assertions [10..=10]
example r"/* Whether a UI was made on this site. */
int made_here(const KnUniqueId *ui)
{
    return uiGetSite(ui) == (int)chorus_start->site;
}
"
see ["uiLocalSite", "uiIsLocal", "uiBuild"]

"uiClear": "Makes a UI null."
contract "The null UI names nothing; all its bits are zero."
arguments {
    ui "The UI.";
}
result "Nothing."
errors {
}
assertions [9..=9]
example r"/* Nobody hears any more of an actor's end. */
int forget_notice(const KnCap *actor)
{
    KnUniqueId nobody;
    uiClear(&nobody);
    return actorNotify(actor, &nobody);
}
"
see ["uiValid", "uiEqual"]

"uiEqual": "Whether two UIs name the same."
contract "The addressing mode in a group's UI does not count: it says how a message is sent, not to whom."
arguments {
    a "A UI.";
    b "Another UI.";
}
result "1 if they name the same, else 0."
errors {
}
assertions []
example r"/* Whether the current message came from a port. */
int is_from(const KnUniqueId *port)
{
    KnMsgHead head;
    return ipcSysInfo(&head) >= 0 && uiEqual(&head.src_port, port);
}
"
see ["uiValid", "ipcTarget", "ipcSysInfo"]

"uiValid": "Whether a UI is not null."
contract "It tells the null UI from all others, and does not say that the UI is well formed or names something that exists."
arguments {
    ui "The UI.";
}
result "1 if it is not null, else 0."
errors {
}
assertions [9..=9]
example r"/* The answer goes to the given port, if there is one. */
const KnUniqueId *answer_to(const KnUniqueId *given, const KnUniqueId *otherwise)
{
    return uiValid(given) ? given : otherwise;
}
"
see ["uiClear", "uiEqual", "uiIsLocal"]

"ipcTarget": "Writes an addressing mode into the UI of a group."
contract "A message to a group goes to all members (`K_BROADMODE`, which a UI has as `grpAllocate` gives it), to any one (`K_FUNCMODE`), to one on the site that recognises the co-target \
(`K_FUNCUMODE`), or to one that is neither the co-target nor on the site that it names (`K_FUNCXMODE`). The mode is part of the UI, so that a program writes it once and sends often. A mode that is \
there already is replaced. Capabilities are compared without it."
arguments {
    ui "The UI of a group, changed in place.";
    mode "`K_BROADMODE`, `K_FUNCMODE`, `K_FUNCUMODE` or `K_FUNCXMODE`.";
}
result "0."
errors {
    Inval "The UI is not that of a group, or there is no such mode.";
    Fault NULL;
}
assertions [147..=149]
example r"/* A request to any member of a group. */
int ask_one(const KnUniqueId *group, const KnMsgDesc *request, KnMsgDesc *reply)
{
    KnIpcDest dest = { *group, { 0 } };
    int result = ipcTarget(&dest.target, K_FUNCMODE);
    return result < 0 ? result : ipcCall(request, K_DEFAULTPORT, &dest, reply, -1);
}
"
see ["ipcSend", "ipcCall", "grpAllocate", "uiSite"]
}
