//! Ports.

use super::*;

section! {
"portCreate": "Makes a port of an actor."
contract "The port has a new UI that no other object of the site ever had or will have, and whose stamp cannot be foreseen from those before; an empty queue for 64 messages (`K_CPORTQUEUE`), and the protection identifier of the caller's \
actor. It is disabled: it is received from by its LI, and not by `K_ANYENABLED` until `portEnable`. It is a destination, for every site, when the call returns."
arguments {
    actor_cap "Capability of the actor that gets the port; null: the caller's own.";
    port_ui "Where the UI of the port goes.";
}
result "LI of the port in its actor: positive, and not used again for long after its end."
errors {
    Inval BAD_CAP;
    Unknown OTHER_SITE;
    Fault BAD_POINTER;
    NoMem "The site's table of ports is full.";
}
assertions [2..=5, 97..=99, 283..=283]
example r"/* A port that is served by ipcReceive with K_ANYENABLED. */
int open_service(KnUniqueId *ui)
{
    int li = portCreate(K_MYACTOR, ui);
    int result = li < 0 ? li : portEnable(K_MYACTOR, li, 0);
    return result < 0 ? result : li;
}
"
see ["portDelete", "portEnable", "portDeclare", "grpPortInsert", "ipcReceive"]

"portDeclare": "Makes a port with a well-known UI."
contract "As `portCreate`, but the UI is one that others can compute: that of a site and a stamp (`uiBuild`). The caller answers for its being the only one: when two sites declare the \
same UI, messages reach either."
arguments {
    actor_cap "Capability of the actor that gets the port; null: the caller's own.";
    port_ui "The UI, a static one of port type.";
}
result "LI of the port in its actor."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; or the UI is not a static UI of a port.";
    Unknown OTHER_SITE;
    Priv NOT_TRUSTED;
    Busy "The site has a port with this UI.";
    Fault BAD_POINTER;
    NoMem "The site's table of ports is full.";
}
assertions [107..=109]
example r"/* Port 100 of this site: others build the same UI. */
int declare_service(void)
{
    KnUniqueId ui;
    int result = uiBuild(&ui, K_UIPORT, chorus_start->site, 100);
    return result < 0 ? result : portDeclare(K_MYACTOR, &ui);
}
"
see ["uiBuild", "portCreate", "portDelete", "uiLocalSite"]

"portDelete": "Destroys a port."
contract "Messages in its queue are lost; clients whose requests are in it leave `ipcCall` with `K_ENOPORT`, and so do threads that wait on it in `ipcReceive`, and clients that named it as the \
source of a request to a port of this site. Threads that wait on `K_ANYENABLED` wait on. Requests that were received before live on and can be answered. The port leaves all its groups. Later \
messages to it fail with `K_EUNKNOWN`. The default port cannot be deleted: it goes with its actor."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    port_li "LI of the port.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; or the LI names no port of that actor, or its default port.";
    Unknown OTHER_SITE;
    Busy DEPARTING;
    Fault BAD_POINTER;
}
missing ""
assertions [3..=3, 100..=106]
example r"/* A port for one exchange. */
int with_port(int (*work)(int port_li))
{
    KnUniqueId ui;
    int li = portCreate(K_MYACTOR, &ui);
    if (li < 0)
        return li;
    int result = work(li);
    portDelete(K_MYACTOR, li);
    return result;
}
"
see ["portCreate", "portDisable", "grpPortRemove", "actorDelete"]

"portEnable": "Adds a port to the enabled set of its actor."
contract "A receive with `K_ANYENABLED` serves the ports of this set, that with the lowest `priority` number first, and among equals the one whose queue has had messages for longer. The set belongs \
to the actor: all its threads share it. If messages are queued on the port and threads wait on `K_ANYENABLED`, they get them at once. Enabling an enabled port only \
changes its priority."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    port_li "LI of the port; `K_DEFAULTPORT`: the default port.";
    priority "0 or above; low numbers are served first.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; the LI names no port of that actor; `priority` is negative; or the port has a message handler.";
    Unknown OTHER_SITE;
    Fault BAD_POINTER;
}
assertions [110..=115]
example r"/* Control messages go before data. */
int enable_both(int control_li, int data_li)
{
    int result = portEnable(K_MYACTOR, control_li, 0);
    return result < 0 ? result : portEnable(K_MYACTOR, data_li, 10);
}
"
see ["portDisable", "ipcReceive", "portCreate"]

"portDisable": "Takes a port out of the enabled set of its actor."
contract "The port still takes messages, and is still received from by its LI. Threads that wait on `K_ANYENABLED` wait on, even if the set is empty now. Disabling a disabled port \
changes nothing."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    port_li "LI of the port; `K_DEFAULTPORT`: the default port.";
}
result "0."
errors {
    Inval BAD_LI;
    Unknown OTHER_SITE;
    Fault BAD_POINTER;
}
assertions [113..=114]
example r"/* New work waits in the queue meanwhile. */
int pause_service(int port_li)
{
    return portDisable(K_MYACTOR, port_li);
}
"
see ["portEnable", "ipcReceive", "portDelete"]

"portUi": "UI of a port of the caller's actor."
contract "The LI is the name of a port within its actor; the UI is its name everywhere."
arguments {
    port_ui "Where the UI goes.";
    port_li "LI of the port; `K_DEFAULTPORT`: the default port.";
}
result "0."
errors {
    Inval "The LI names no port of the caller's actor.";
    Fault BAD_POINTER;
}
assertions [130..=130]
example r"/* Where messages to the caller's actor go. */
int own_address(KnIpcDest *dest)
{
    *dest = (KnIpcDest) { 0 };
    return portUi(&dest->target, K_DEFAULTPORT);
}
"
see ["portLi", "portCreate", "actorSelf"]

"portLi": "LI of a port of the caller's actor."
contract "The other way round from `portUi`. Only ports of the caller's own actor have an LI for it."
arguments {
    port_ui "The UI.";
}
result "LI of the port."
errors {
    Inval "The UI is that of no port of the caller's actor.";
    Fault BAD_POINTER;
}
assertions [97..=97, 129..=129]
example r"int is_mine(const KnUniqueId *ui)
{
    return portLi(ui) >= 0;
}
"
see ["portUi", "uiIsLocal"]

"portGetSeqNum": "Count of messages received on a port."
contract "Each message received on the port since it was made, or came to its actor, adds one; the number that a message had is in `seq_num` of its receiver's descriptor. Messages that are still queued do not count."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    port_li "LI of the port; `K_DEFAULTPORT`: the default port.";
    seq_num "Where the count goes.";
}
result "0."
errors {
    Inval BAD_LI;
    Unknown OTHER_SITE;
    Fault BAD_POINTER;
}
assertions [122..=122, 204..=204]
example r"/* How many messages were served so far. */
unsigned int served(int port_li)
{
    unsigned int count = 0;
    portGetSeqNum(K_MYACTOR, port_li, &count);
    return count;
}
"
see ["ipcReceive", "siteStat"]

"portMigrate": "Moves a port to another actor, of this site or of another."
contract "The port keeps its UI, its protection identifier, its memberships and what has been received from it: who sends to it notices nothing. With `K_MIGRATEMSG` what is queued follows, in order; with \
`K_DROPMSG` queued messages are lost and queued requests end with `K_ENOPORT` first. It is one step: every message was received before it, or is for the new actor. The port arrives disabled, with a count of 0. \
Threads of the old actor that wait on it leave `ipcReceive` with `K_ENOPORT`; those that wait on `K_ANYENABLED` wait on. A request that a thread holds stays with it and can be answered. The old \
owner takes no part. The default port of an actor and ports with a static UI stay where they are. The LI in the new actor may be the same number as in the old one, where it names nothing any more; a program uses \
the one that it is given. Migrating within one actor is allowed and does the same.\n\n\
The destination may be on another site; the port itself is on the caller's. Then the caller waits: until the other site has the port and all that was queued, or has surely not got it. The other Nucleus \
looks at the destination's key itself. Meanwhile the port is *departing*: what is sent to it is queued as before, but nobody receives from it, so that never more than one site serves it; threads that wait on it \
wait on; `portEnable` and `portDisable` hold if it stays; deleting it, moving it again and changing its groups, protection identifier or handler are `K_EBUSY`. If its actor is deleted the move goes on, \
and the port goes if it does not succeed. If it fails everything is as it was. With `K_DROPMSG` what was queued when the call was made is lost, once the port lives there; what came later follows. \
`seq_num` is written when the move begins. The call has no time limit of its own: when the other site is lost in the middle, it may take until that is heard of again to know who has the port. It can be \
aborted (`K_EABORT`): then the caller does not wait any longer, but the move goes on; the port's LI names nothing any more when it has gone."
privilege "For moving from or to a system or supervisor actor, system privilege."
waits "when the destination is on another site, until the port and its queue are there, or stay. The wait is abortable."
arguments {
    options "`K_MIGRATEMSG`: queued messages follow. `K_DROPMSG`: they are lost.";
    src_actor_cap "Capability of the actor that has the port; null: the caller's own.";
    port_li "LI of the port in that actor.";
    dst_actor_cap "Capability of the actor that gets it, on whichever site; null: the caller's own.";
    seq_num "Where the count of messages received on it so far goes, plus one; null: nowhere.";
}
result "LI of the port in the new actor."
errors {
    Inval "A capability is ill-formed, its key is wrong or its actor is gone; the LI names no port of the actor, or its default port; the port has a static UI or a message handler; or there is no such option.";
    Unknown "The actor that has the port is one of another site; or there is no site, or no actor, of the destination's name, or no Network Manager that could ask for it.";
    Busy "The port is on its way to another site already; or it was here before, and what was queued then still follows it.";
    Full "The other site has no room for it at present.";
    TooMuch "The destination is on another site, and the port is in more than 1022 groups, or moved between sites 2^31 times.";
    NoMem "This site moves as many ports as it can, or the tables of the other are full.";
    LinkFailure "The other site cannot be reached, or went in the middle: the port is where it was. Or the own Network Manager ended in the middle: the port is not on this site any more, whether it came to the other or not.";
    Abort "The caller was aborted. If the abort came before the call nothing was moved; else the move goes on.";
    Priv "The caller has user privilege, and one of the actors is a system or supervisor actor.";
    Fault BAD_POINTER;
}
assertions [116..=128, 192..=192]
example r"/* A new server takes the work of an old one over, requests that wait and all; no client notices. */
int replace_server(const KnCap *old, int port_li, const KnCap *new_server)
{
    int li = portMigrate(K_MIGRATEMSG, old, port_li, new_server, 0);
    return li < 0 ? li : portEnable(new_server, li, 0);
}
"
see ["portEnable", "portGetSeqNum", "portDelete", "actorDelete", "ipcReceive"]

"portPi": "Reads and sets the protection identifier of a port."
contract "A port has the protection identifier of the actor that made it until this call sets another. Every message sent with the port as its source is stamped with it, and its receiver finds it in \
`port_id` of `ipcSysInfo`; those sent before keep their stamp. The Nucleus itself makes nothing of it. A null pointer skips reading or setting."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    port_li "LI of the port; `K_DEFAULTPORT`: the default port.";
    old_pi "Where the present one goes, before it is set.";
    new_pi "The new one; its padding is taken as zero.";
}
result "0."
errors {
    Inval BAD_LI;
    Unknown OTHER_SITE;
    Busy "The identifier is to be set, and the port is on its way to another site (`portMigrate`).";
    Priv NOT_TRUSTED;
    Fault BAD_POINTER;
}
assertions [99..=99, 131..=132, 215..=215]
example r"/* What is sent from this port is the mail service's. */
int stamp_as_mail(int port_li, unsigned short mail_group)
{
    KnProtId pi;
    int result = portPi(K_MYACTOR, port_li, &pi, 0);
    if (result < 0)
        return result;
    pi.gid = mail_group;
    return portPi(K_MYACTOR, port_li, 0, &pi);
}
"
see ["ipcSysInfo", "portCreate", "ipcSend"]
}
