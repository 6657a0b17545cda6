//! Devices.

use super::*;

section! {
"devGet": "Describes a device of the machine."
contract "Devices are counted from 0, and stay as they were at boot: a driver asks for one after another until it finds its own. The description has the physical address and size of the registers, \
the interrupt, and the virtio device number (1 is a network). A device whose number is `K_DEV_PORTS` or more has I/O ports instead: `base` is the first, `size` how many, and `K_DEV_SERIAL` is a 16550."
arguments {
    index "Which device, from 0.";
    device "Where the description goes.";
}
result "0."
errors {
    Inval "There is no such device.";
    Priv NOT_TRUSTED;
    Fault BAD_POINTER;
}
assertions []
example r"/* The first network device. */
int find_network(KnDevDesc *device)
{
    int result;
    for (int index = 0; (result = devGet(index, device)) >= 0; index++)
        if (device->device_id == 1)
            break;
    return result;
}
"
see ["devMap", "devIn", "devMemory", "devAttach"]

"devMap": "Maps registers of a device into the caller's space."
contract "The registers appear in a region of the caller's actor, not cached, and go with it. Only what lies within the registers of one device that `devGet` describes can be mapped: never memory. The mapping has \
whole pages; the address written is that of `base` in it."
arguments {
    base "Physical address of the first register.";
    size "Bytes.";
    address "Where the address of the registers goes.";
}
result "0."
errors {
    Inval "The range is empty, or not within the registers of one device.";
    Priv NOT_TRUSTED;
    Fault BAD_POINTER;
    Space "There is no free range of that size in the caller's space.";
    NoMem "The site's table of regions is full, or there is no memory for tables of pages.";
}
assertions []
example r"volatile unsigned int *registers(const KnDevDesc *device)
{
    unsigned long address = 0;
    int result = devMap(device->base, device->size, &address);
    return result < 0 ? 0 : (volatile unsigned int *)address;
}
"
see ["devGet", "devMemory", "rgnFree"]

"devMemory": "Gives memory that a device can access."
contract "Zeroed memory in one piece, as devices need it that know nothing of address spaces: its address for the actor, and its physical address for the device. All its pages are there at once and stay until the \
region is freed or the actor ends. The size is rounded up to pages. What the device is told is the driver's affair: a device reaches all memory."
arguments {
    size "Bytes, at most 4 MiB.";
    address "Where the address in the caller's space goes.";
    physical "Where the physical address goes.";
}
result "0."
errors {
    Priv NOT_TRUSTED;
    Fault BAD_POINTER;
    Space "There is no free range of that size in the caller's space.";
    NoMem "There is not so much free memory in one piece, or the site's table of regions is full.";
    Size "The size is 0 or above 4 MiB.";
}
assertions []
example r"/* A page for a virtqueue. */
int queue(unsigned long *address, unsigned long *physical)
{
    return devMemory(PAGE_SIZE, address, physical);
}
"
see ["devGet", "devMap", "rgnFree"]

"devAttach": "Makes the caller's actor the driver of a device interrupt."
contract "From then on interrupts of this number are counted for the actor, whose threads wait for them with `devWait`: a driver needs no code at interrupt level, and may be an actor with its own address space. The actor \
keeps the interrupt until it ends. Handlers that supervisor actors attach to its vector are called besides. Interrupts are edges: what the device has to be told is the driver's affair."
arguments {
    irq "The interrupt, as the device's description has it.";
}
result "0."
errors {
    Inval "No device of the machine has this interrupt.";
    Busy "An actor is its driver, or it is the Network Manager's.";
    NoMem "There are 16 drivers.";
    Priv NOT_TRUSTED;
}
assertions []
example r"/* Finds the serial line and becomes its driver. */
int find_serial(KnDevDesc *device)
{
    int result;
    for (int index = 0; (result = devGet(index, device)) >= 0; index++)
        if (device->device_id == K_DEV_SERIAL)
            return devAttach(device->irq);
    return result;
}
"
see ["devWait", "devGet", "svIntrAttach"]

"devWait": "Waits for an interrupt of a device."
contract "Returns when the interrupt has come since the last return, or since `devAttach`: at once if it has already. So none is lost that comes while the driver works; several may be told as one."
waits "for the interrupt, at most as long as `wait_limit` says. The wait is abortable."
arguments {
    irq "The interrupt of which the caller's actor is the driver.";
    wait_limit "How long to wait at most; null: without limit; zero: not at all.";
}
result "How many interrupts came since the last return: 1 or more."
errors {
    Inval "The caller's actor is not its driver; or the nanoseconds of the interval are not in 0…999999999.";
    Busy "Another thread waits for it.";
    Timeout "It did not come in time.";
    Abort "The thread was aborted, now or before.";
    Fault BAD_POINTER;
    Priv NOT_TRUSTED;
}
assertions []
example r"/* What a driver does all day. */
int drive(unsigned int irq, void (*serve)(void))
{
    int came;
    while ((came = devWait(irq, 0)) > 0)
        serve();
    return came;
}
"
see ["devAttach", "devIn", "threadAbort"]

"devIn": "Reads from an I/O port of a device."
contract "The Nucleus reads for the caller, who may not: 1, 2 or 4 bytes, from ports that all belong to one device whose description has a number of `K_DEV_PORTS` or more. The value is written with zeros above."
arguments {
    port "The first port.";
    size "Bytes: 1, 2 or 4.";
    value "Where the value goes.";
}
result "0."
errors {
    Inval "The ports are not those of one device.";
    Size "The size is another.";
    Fault BAD_POINTER;
    Priv NOT_TRUSTED;
}
assertions []
example r"/* The byte that a 16550 has received, or -1. */
int receive(const KnDevDesc *line)
{
    unsigned int status = 0, byte = 0;
    int result = devIn(line->base + 5, 1, &status);
    if (result < 0 || !(status & 1))
        return -1;
    devIn(line->base, 1, &byte);
    return (int)byte;
}
"
see ["devOut", "devGet", "devWait"]

"devOut": "Writes to an I/O port of a device."
contract "As `devIn`, in the other direction. Bits of the value above the size are left out."
arguments {
    port "The first port.";
    size "Bytes: 1, 2 or 4.";
    value "The value.";
}
result "0."
errors {
    Inval "The ports are not those of one device.";
    Size "The size is another.";
    Priv NOT_TRUSTED;
}
assertions []
example r"/* Has a 16550 interrupt for what it receives. */
int listen(const KnDevDesc *line)
{
    devOut(line->base + 4, 1, 8);
    return devOut(line->base + 1, 1, 1);
}
"
see ["devIn", "devGet"]
}
