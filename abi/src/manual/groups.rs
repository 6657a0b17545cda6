//! Port groups.

use super::*;

section! {
"grpAllocate": "Gives the capability of a port group."
contract "With `K_DYNAMIC` the group is new, and no other has its name. With `K_STATUSER` or `K_STATSYS` it is the well-known group of that number, whose capability is the same on every site and at \
every time. A group costs nothing: it is a name until ports are inserted, and there is no call that deletes it. The UI suffices for sending to the group; membership takes the whole \
capability. A UI as it comes addresses all members; `ipcTarget` writes another mode into it. The key is a keyed hash of the UI \
under a secret that the sites of a cluster have in common and that no actor can read; so any site can check it without asking the one that made the group. For new groups the specification has random keys; these are as \
hard to guess, and need no memory."
privilege "For `K_STATSYS`, system privilege."
arguments {
    options "`K_DYNAMIC`, `K_STATUSER` or `K_STATSYS`.";
    group_cap "Where the capability goes.";
    stamp "Number of the well-known group; without meaning for `K_DYNAMIC`.";
}
result "0."
errors {
    Inval "`options` is none of those above.";
    Priv "The caller has user privilege and asks for a group of the system class.";
    Fault BAD_POINTER;
}
assertions [133..=137]
example r"/* The well-known group 7 of the cluster. */
int join_printers(int port_li)
{
    KnCap printers;
    KnUniqueId port;
    int result = grpAllocate(K_STATUSER, &printers, 7);
    if (result >= 0)
        result = portUi(&port, port_li);
    return result < 0 ? result : grpPortInsert(&printers, &port);
}
"
see ["grpPortInsert", "grpPortRemove", "ipcSend", "ipcCall"]

"grpPortInsert": "Makes a port a member of a group."
contract "Messages sent to the group from now on consider the port: on this site at once, on others when their Network Managers next locate the group. A port may be in any number of groups and \
of whichever actor of the site. Inserting a member again changes nothing. A port leaves its groups when it is deleted, or its actor or site goes."
privilege "For a group of the system class, system privilege."
arguments {
    group_cap "Capability of the group.";
    port_ui "UI of a port of this site.";
}
result "0, also if the port was a member."
errors {
    Inval "The capability is not that of a group, or its key is wrong; or the UI is not that of a port.";
    Unknown "There is no such port on this site.";
    Busy DEPARTING;
    Fault BAD_POINTER;
    NoMem "The site's table of memberships is full.";
    Priv "The caller has user privilege, and the group is of the system class.";
}
assertions [138..=146]
example r"/* A new group with one member; whoever gets the capability may join it. */
int found_group(KnCap *group, const KnUniqueId *port)
{
    int result = grpAllocate(K_DYNAMIC, group, 0);
    return result < 0 ? result : grpPortInsert(group, port);
}
"
see ["grpPortRemove", "grpAllocate", "ipcSend"]

"grpPortRemove": "Ends the membership of a port in a group."
contract "The port gets no further message that is sent to the group; those that are in its queue stay there. Sites that had chosen it for a functional request are told at their next one, and look for \
another member."
privilege "For a group of the system class, system privilege."
arguments {
    group_cap "Capability of the group.";
    port_ui "UI of a port of this site.";
}
result "0."
errors {
    Inval "The capability is not that of a group, or its key is wrong; the UI is not that of a port; or the port is no member.";
    Unknown "There is no such port on this site.";
    Busy DEPARTING;
    Fault BAD_POINTER;
    Priv "The caller has user privilege, and the group is of the system class.";
}
assertions [140..=144]
example r"/* Another server of the group takes over; what is queued is still served. */
int retire(const KnCap *group, const KnUniqueId *port)
{
    return grpPortRemove(group, port);
}
"
see ["grpPortInsert", "grpAllocate", "portDelete"]
}
