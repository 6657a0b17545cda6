//! Unique identifiers.

use super::*;

section! {
"uiLocalSite": "Number of the local site."
contract "The number that the site was given at boot: 1 to 8190 for a site of a cluster. Ports made here have it in their UIs."
arguments {
    site "Where the number goes.";
}
result "0."
errors {
    Fault BAD_POINTER;
}
assertions [10..=10]
example r"/* Whether a UI was made on this site. */
int was_made_here(const KnUniqueId *ui)
{
    int site = 0;
    uiLocalSite(&site);
    return uiGetSite(ui) == site;
}
"
see ["uiGetSite", "uiSite", "uiIsLocal", "portDeclare", "siteStat"]

"uiIsLocal": "Whether this site recognises a UI."
contract "A site recognises its own UI, those of its ports, and with them those of its actors (an actor's UI is that of its default port), and what an actor of it declared with `uiDeclare`. It does \
not recognise groups unless they were declared. That a UI was made here says nothing, since what it named may be gone. A site that recognises a name need not be where messages to it go: a declared \
name attracts none."
arguments {
    ui "The UI.";
}
result "1 if the site recognises it, else 0."
errors {
    Fault BAD_POINTER;
}
assertions [11..=13]
example r"/* Whether a message to the port stays on this site. */
int stays_here(const KnUniqueId *port)
{
    return uiIsLocal(port) == 1;
}
"
see ["uiDeclare", "uiLocalSite", "portLi", "nmQuery"]

"uiDeclare": "Adds a UI to those that this site recognises."
contract "A message in the selective mode (`K_FUNCUMODE`) goes to a member on the site that recognises its co-target. By declaring a name, an actor makes its site that of the name: a file that it serves, a \
piece of work that it holds. The name is a UI of any object, living or not, here or elsewhere; nothing is asked of whoever owns it, and messages to the name itself go where they went before. \
The same name may be declared on several sites: then any of them is chosen. Declarations are counted by name and actor: what was declared twice is forgotten twice. They go with their actor. An \
actor may have 1024 names (`K_CUIDECLARED`), the site has room for 4096 of all actors together. The specification leaves static port and group names open: they are treated like those of sites, since \
anybody can compute them, so that an unprivileged actor cannot pose as the place of a well-known service."
privilege "For UIs that anybody can compute (sites, well-known ports and groups), system privilege."
arguments {
    ui "The UI: of a site, port or group. The addressing mode of a group does not count.";
}
result "0."
errors {
    Inval "The UI is null, or its type is a reserved one.";
    Full "The caller's actor has declared 1024 names, or the site's table is full.";
    Priv "The caller has user privilege, and the UI was not made by the Nucleus of a site.";
    Fault BAD_POINTER;
}
assertions [157..=157]
example r"/* Messages about a piece of work come to the site that holds it. */
int take_over(const KnUniqueId *work, const KnCap *workers)
{
    KnUniqueId port;
    int result = portUi(&port, K_DEFAULTPORT);
    if (result >= 0)
        result = grpPortInsert(workers, &port);
    return result < 0 ? result : uiDeclare(work);
}
"
see ["uiForget", "uiIsLocal", "ipcTarget", "ipcSend"]

"uiForget": "Takes a declaration of a UI back."
contract "It ends one `uiDeclare` of the caller's actor. When the last one of all actors is taken back, the site no longer recognises the name, unless it is one of its own: those cannot be \
removed. Other sites that remember where the name was are told when they next use it, and look again."
arguments {
    ui "The UI.";
}
result "0."
errors {
    Inval "The caller's actor has not declared the UI, or has taken all its declarations back.";
    Fault BAD_POINTER;
}
assertions [158..=158]
example r"/* The work is done. */
int give_up(const KnUniqueId *work)
{
    return uiForget(work);
}
"
see ["uiDeclare", "uiIsLocal"]
}
