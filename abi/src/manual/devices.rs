//! Devices.

use super::*;

section! {
"devGet": "Describes a device of the machine."
contract "Devices are counted from 0, and stay as they were at boot: a driver asks for one after another until it finds its own. The description has the physical address and size of the registers, \
the interrupt, and the virtio device number (1 is a network)."
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
see ["devMap", "devMemory", "nmAttach"]

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
}
