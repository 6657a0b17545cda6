//! Regions.

use super::*;

section! {
"rgnAllocate": "Makes a region of fresh zeroed memory."
contract "A region is a range of whole pages of an actor's address space, all with the same protection; regions do not overlap, and addresses outside all of them are invalid. Its pages are \
zero, and come to be when they are first touched. The size is rounded up to pages, and the address used is written back. With `K_ANYWHERE` the Nucleus picks an address, with \
`K_RESTRICTIVE` one between `start_addr` and `end_addr`; it leaves a page free before and behind. `K_WRITABLE` allows stores, `K_EXECUTABLE` execution, and both at once are refused; \
`K_RESERVED` takes the addresses only, and touching them faults; `K_NODEMAND` makes all pages at once. `K_FILLZERO` and `K_NOWAITFORMEMORY` hold always. All or nothing happens."
privilege "For another actor that is a system or supervisor actor, system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    region "`start_addr`, `size` (at most 1 GiB), `options`, `end_addr` with `K_RESTRICTIVE`, and two words that are only kept. `start_addr` and `size` are written back.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; or the options are unknown or contradict each other, or `K_SUPERVISOR` is asked for an actor that is no supervisor actor.";
    Unknown OTHER_SITE;
    Round "The address is not a multiple of the page size.";
    Size "The size is 0, or larger than 1 GiB or than the space.";
    Addr "The range is not all within the actor's address space.";
    Overlap "A region of the space is in the way.";
    Space "There is no free range of that size.";
    NoMem "The site's table of regions is full; or with `K_NODEMAND`, there is not enough memory.";
    Fault BAD_POINTER;
    Priv FOREIGN;
}
missing "`K_SVACTOR` is refused with `K_EINVAL`. Regions of segments, inheritance, and changing the protection of a region are not there yet."
assertions [224..=229, 239..=239]
example r"/* A megabyte, somewhere. */
void *megabyte(void)
{
    KnRgnDesc region = { .size = 1 << 20, .options = K_ANYWHERE | K_WRITABLE };
    int result = rgnAllocate(K_MYACTOR, &region);
    return result < 0 ? 0 : (void *)region.start_addr;
}
"
see ["rgnFree", "vmPageSize", "vmStat", "actorLoad"]

"rgnFree": "Frees a range of an address space."
contract "The range may cover several regions, or parts of them: a region that lies across an end of it is split, and the rest stays as it was. Parts of the range that are in no region are passed over. \
After the call touching the range faults. Threads that wait for a mutex or semaphore in a page that goes leave with `K_EFAULT`."
privilege "For another actor that is a system or supervisor actor, system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    region "`start_addr` and `size`, which is rounded up to pages.";
}
result "0."
errors {
    Inval BAD_CAP;
    Unknown OTHER_SITE;
    Round "The address is not a multiple of the page size.";
    Size "The size is 0, or the largest numbers, which cannot be rounded up.";
    Addr "The end of the range is beyond the largest address.";
    Fault BAD_POINTER;
    NoMem "The range is in the middle of a region, and the site's table of regions is full. Nothing was freed.";
    Priv FOREIGN;
}
assertions [230..=230]
example r"/* Gives back the second page of a region. */
int give_back(unsigned long start)
{
    KnRgnDesc page = { .start_addr = start + PAGE_SIZE, .size = PAGE_SIZE };
    return rgnFree(K_MYACTOR, &page);
}
"
see ["rgnAllocate", "vmStat", "actorDelete"]

"vmPageSize": "Bytes of a page."
contract "The unit of regions and protection: 4096 here, always."
arguments {}
result "4096."
errors {}
assertions [229..=229]
example r"unsigned long whole_pages(unsigned long bytes)
{
    unsigned long page = (unsigned long)vmPageSize();
    return (bytes + page - 1) / page * page;
}
"
see ["rgnAllocate", "vmStat"]

"vmStat": "Memory totals of the site."
contract "Bytes that the Nucleus manages, that are free now, and that are fixed: the Nucleus' own tables and kept bodies of messages, and regions made with `K_NODEMAND` or for devices."
arguments {
    stat "Where the totals go.";
}
result "0."
errors {
    Fault BAD_POINTER;
}
assertions [32..=32]
example r"unsigned long free_bytes(void)
{
    KnVmStat stat = { 0 };
    vmStat(&stat);
    return stat.free;
}
"
see ["rgnAllocate", "siteStat", "actorStat"]
}
