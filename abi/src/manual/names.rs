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
    return uiSite(ui) == site;
}
"
see ["uiIsLocal", "portDeclare", "siteStat"]

"uiIsLocal": "Whether this site recognises a UI."
contract "A site recognises its own UI, those of its ports, and with them those of its actors (an actor's UI is that of its default port). It does not recognise groups. That a UI was made \
here says nothing, since what it named may be gone."
arguments {
    ui "The UI.";
}
result "1 if the site recognises it, else 0."
errors {
    Fault BAD_POINTER;
}
missing "`uiDeclare` and `uiForget`, which add names to those that a site recognises and remove them, are not there yet."
assertions [11..=13]
example r"/* Whether a message to the port stays on this site. */
int stays_here(const KnUniqueId *port)
{
    return uiIsLocal(port) == 1;
}
"
see ["uiLocalSite", "portLi", "nmQuery"]
}
