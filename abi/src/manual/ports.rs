//! Ports.

use super::*;

section! {
"portCreate": "Makes a port of an actor."
contract "The port has a new UI that no other object of the site ever had or will have, an empty queue for 64 messages (`K_CPORTQUEUE`), and the protection identifier of the caller's \
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
contract "As `portCreate`, but the UI is one that others can compute: that of a site and a stamp (`uiPort` in `chorus.h`). The caller answers for its being the only one: when two sites declare the \
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
example r"/* Port 100 of this site, which other sites know as uiPort(site, 100). */
int declare_service(void)
{
    KnUniqueId ui = uiPort(chorus_start->site, 100);
    return portDeclare(K_MYACTOR, &ui);
}
"
see ["portCreate", "portDelete", "uiLocalSite"]

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
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; the LI names no port of that actor; or `priority` is negative.";
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
contract "Each message received on the port adds one; the number that a message had is in `seq_num` of its receiver's descriptor. Messages that are still queued do not count."
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
assertions [204..=204]
example r"/* How many messages were served so far. */
unsigned int served(int port_li)
{
    unsigned int count = 0;
    portGetSeqNum(K_MYACTOR, port_li, &count);
    return count;
}
"
see ["ipcReceive", "siteStat"]
}
