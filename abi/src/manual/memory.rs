//! Regions.

use super::*;

section! {
"rgnAllocate": "Makes a region of fresh zeroed memory."
contract "A region is a range of whole pages of an actor's address space, all with the same protection; regions do not overlap, and addresses outside all of them are invalid. Its pages are \
zero, and come to be when they are first touched. The size is rounded up to pages, and the address used is written back. With `K_ANYWHERE` the Nucleus picks an address, with \
`K_RESTRICTIVE` one between `start_addr` and `end_addr`; it leaves a page free before and behind. `K_WRITABLE` allows stores, `K_EXECUTABLE` execution, and both at once are refused; \
`K_RESERVED` takes the addresses only, and touching them faults; `K_NODEMAND` makes all pages at once, and they stay; `K_INHERITCOPY` and `K_INHERITSHARE` say what a duplicate gets \
(`rgnDup`). `K_FILLZERO` and `K_NOWAITFORMEMORY` hold always. All or nothing happens. Many pages are made in steps, between which more urgent threads run; the region is seen when all are there."
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
missing "`K_SVACTOR` is refused with `K_EINVAL`."
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
After the call touching the range faults. Pages that no other region shows and no copy needs are given back; threads that wait for a mutex or semaphore in such a page leave with `K_EFAULT`. The range is out of sight at once; its memory is given back in steps at the caller's priority, between which \
more urgent threads run, and the call returns when that is done, or goes on without its caller when that is deleted."
privilege "For another actor that is a system or supervisor actor, system privilege."
waits "until no page of the range is locked (`vmLock`). Nothing ends that wait but unlocking: whoever frees what it locked itself waits for another thread to unlock it."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    region "`start_addr` and `size`, which is rounded up to pages.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone, or went while the caller waited.";
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
see ["rgnAllocate", "vmUnLock", "vmStat", "actorDelete"]

"rgnSetProtect": "Sets the protection of a range."
contract "All pages of the range are readable, and from now on writable or executable as `options` say. Regions across the ends of the range are split; neighbours that nobody can tell apart are \
merged. After the call no processor makes an access that is forbidden now. Of a range that is `K_RESERVED` the protection is only kept. Nothing is changed when an error is returned."
privilege "For another actor that is a system or supervisor actor, system privilege."
waits "until no page of the range is locked (`vmLock`)."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    region "`start_addr`, `size`, and in `options` any of `K_WRITABLE`, `K_EXECUTABLE`, `K_SUPERVISOR`.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; or another option is named, or writable and executable at once, or `K_SUPERVISOR` for an actor that is no supervisor actor.";
    Unknown OTHER_SITE;
    Round "The address is not a multiple of the page size.";
    Size "The size is 0, or the largest numbers, which cannot be rounded up.";
    Addr "Not all of the range is in regions.";
    Prot "The range has registers of a device in it.";
    NoMem "A region would have to be split, and the site's table of regions is full.";
    Fault BAD_POINTER;
    Priv FOREIGN;
}
assertions [231..=232]
example r"/* What was built is code from now on. */
int seal(unsigned long start, unsigned long size)
{
    KnRgnDesc region = { .start_addr = start, .size = size, .options = K_EXECUTABLE };
    return rgnSetProtect(K_MYACTOR, &region);
}
"
see ["rgnAllocate", "rgnStat", "vmLock"]

"rgnSetInherit": "Says what a duplicate of the actor's memory gets of a range."
contract "Marks the range for the next `rgnDup`: with `K_INHERITCOPY` a duplicate has a private copy, with `K_INHERITSHARE` it shares the memory, with neither it leaves the range out. Regions are split \
and merged as by `rgnSetProtect`."
privilege "For another actor that is a system or supervisor actor, system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    region "`start_addr`, `size`, and in `options` one of the marks or 0.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; or both marks or another option are named.";
    Unknown OTHER_SITE;
    Round "The address is not a multiple of the page size.";
    Size "The size is 0, or the largest numbers, which cannot be rounded up.";
    Addr "Not all of the range is in regions.";
    NoMem "A region would have to be split, and the site's table of regions is full.";
    Fault BAD_POINTER;
    Priv FOREIGN;
}
assertions [237..=237]
example r"/* Children share this. */
int share(unsigned long start, unsigned long size)
{
    KnRgnDesc region = { .start_addr = start, .size = size, .options = K_INHERITSHARE };
    return rgnSetInherit(K_MYACTOR, &region);
}
"
see ["rgnDup", "rgnStat"]

"rgnSetOpaque": "Keeps two words with a range."
contract "The words mean nothing to the Nucleus: `rgnStat` tells them. Regions are split and merged as by `rgnSetProtect`; those with different words are never merged."
privilege "For another actor that is a system or supervisor actor, system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    region "`start_addr`, `size`, `opaque1`, `opaque2`.";
}
result "0."
errors {
    Inval BAD_CAP;
    Unknown OTHER_SITE;
    Round "The address is not a multiple of the page size.";
    Size "The size is 0, or the largest numbers, which cannot be rounded up.";
    Addr "Not all of the range is in regions.";
    NoMem "A region would have to be split, and the site's table of regions is full.";
    Fault BAD_POINTER;
    Priv FOREIGN;
}
assertions [232..=232]
example r"/* A memory manager's own mark. */
int mark(unsigned long start, unsigned long size, unsigned long owner)
{
    KnRgnDesc region = { .start_addr = start, .size = size, .opaque1 = owner };
    return rgnSetOpaque(K_MYACTOR, &region);
}
"
see ["rgnStat", "rgnAllocate"]

"rgnSetPaging": "Makes and fixes the pages of a range, or lets them go again."
contract "With `K_NODEMAND` all pages of the range are there when the call returns, and no later access that their protection allows faults. A deferred copy of such a range takes its pages at once. \
`K_NOWAITFORMEMORY` holds always. Without memory the options stay as they were; pages that were made by then stay too, which nobody can tell but by `vmStat`. Many pages are made in steps, between which more urgent threads run."
privilege "For another actor that is a system or supervisor actor, system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    region "`start_addr`, `size`, and in `options` any of `K_NODEMAND`, `K_NOWAITFORMEMORY`.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; or another option is named, or `K_NODEMAND` for a range that has no memory (`K_RESERVED`, registers).";
    Unknown OTHER_SITE;
    Round "The address is not a multiple of the page size.";
    Size "The size is 0, or the largest numbers, which cannot be rounded up.";
    Addr "Not all of the range is in regions.";
    NoMem "There is not enough memory; or a region would have to be split, and the site's table of regions is full.";
    Fault BAD_POINTER;
    Priv FOREIGN;
}
missing "There is no quota of fixed memory: a page once made stays in memory anyway, since nothing is paged out."
assertions [239..=240]
example r"/* No faults in here any more. */
int fix(unsigned long start, unsigned long size)
{
    KnRgnDesc region = { .start_addr = start, .size = size, .options = K_NODEMAND };
    return rgnSetPaging(K_MYACTOR, &region);
}
"
see ["rgnAllocate", "vmLock", "vmStat"]

"rgnStat": "Describes the regions in a range."
contract "Each entry is a range of equal options and opaque words, cut to the range that was asked about: neighbours that differ in nothing are one entry, however they were made, so that the answer does not depend \
on what the Nucleus splits and merges. Entries are those of one instant, by address. The range may be anything: its ends are moved out to page boundaries, holes are passed over."
privilege "For another actor that is a system or supervisor actor, system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    region "`start_addr` and `size` of the range.";
    stat "Where the entries go.";
    stat_size "Bytes there; entries that do not fit whole are left out.";
}
result "How many entries there are, written or not."
errors {
    Inval BAD_CAP;
    Unknown OTHER_SITE;
    Fault BAD_POINTER;
    Priv FOREIGN;
}
assertions [15..=15, 232..=232]
example r"/* Whether anything is there. */
int is_used(unsigned long start, unsigned long size)
{
    KnRgnDesc range = { .start_addr = start, .size = size };
    return rgnStat(K_MYACTOR, &range, 0, 0) > 0;
}
"
see ["rgnSetProtect", "rgnSetOpaque", "actorStat", "vmStat"]

"vmCopy": "Copies bytes from actor to actor."
contract "Where the two ranges overlap in one space, the target gets what the source held before. All of both ranges is checked, and its pages made, before the first byte is copied. Memory that is shared at \
other addresses is copied page after page, upwards. More urgent threads run in the middle: if one frees or protects a part of the ranges then, the call ends with the error of that, and what was copied stays."
privilege "For another actor that is a system or supervisor actor, system privilege."
arguments {
    src_actor "Capability of the actor that has the bytes; null: the caller's own.";
    src "Their address there.";
    dst_actor "Capability of the actor that gets them; null: the caller's own.";
    dst "The address there.";
    size "Bytes, at most 16 MiB.";
}
result "0."
errors {
    Inval "A capability is ill-formed, its key is wrong, or its actor is gone.";
    Unknown OTHER_SITE;
    Addr "Not all of a range is in regions.";
    Prot "The target forbids stores, or a range has no memory.";
    Size "More than 16 MiB.";
    NoMem "There is no memory for a page.";
    Fault BAD_POINTER;
    Priv FOREIGN;
}
assertions [233..=233]
example r"/* A word of another actor. */
int peek(const KnCap *actor, unsigned long address, unsigned long *word)
{
    return vmCopy(actor, address, K_MYACTOR, (unsigned long)word, sizeof *word);
}
"
see ["rgnInitFromActor", "ipcSend"]

"vmLock": "Fixes the pages of a range where they are."
contract "All pages of the range are there, and keep their physical addresses until each lock is taken back with `vmUnLock`: locks of a page are counted. A deferred copy of a locked page is made at once. \
Who would free the range or change its protection waits; the end of the actor does not wait, it ends the locks."
privilege "For another actor that is a system or supervisor actor, system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    address "First address.";
    size "Bytes, whole pages.";
    flags "`K_WRITABLE`: the range must allow stores. Or 0.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; or another flag is named.";
    Unknown OTHER_SITE;
    Round "Address or size is not a multiple of the page size.";
    Size "The size is 0.";
    Addr "Not all of the range is in regions that have memory.";
    Prot "Stores are wanted and forbidden.";
    NoMem "There is no memory for a page, or a page has 65535 locks. No page was locked.";
    Fault BAD_POINTER;
    Priv FOREIGN;
}
missing "There is no quota of locked memory (see `rgnSetPaging`)."
assertions [240..=240]
example r"/* For a device to write to. */
int pin(unsigned long page)
{
    return vmLock(K_MYACTOR, page, PAGE_SIZE, K_WRITABLE);
}
"
see ["vmUnLock", "vmPhysAddr", "rgnSetPaging"]

"vmUnLock": "Takes one lock from each page of a range."
contract "The opposite of `vmLock`. Threads that wait until a range is unlocked go on when its last lock goes."
privilege "For another actor that is a system or supervisor actor, system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    address "First address.";
    size "Bytes, whole pages.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; or not all of the pages are locked, and none was unlocked.";
    Unknown OTHER_SITE;
    Round "Address or size is not a multiple of the page size.";
    Size "The size is 0.";
    Addr "Not all of the range is in regions that have memory.";
    Fault BAD_POINTER;
    Priv FOREIGN;
}
assertions [240..=240]
example r"int unpin(unsigned long page)
{
    return vmUnLock(K_MYACTOR, page, PAGE_SIZE);
}
"
see ["vmLock", "rgnFree"]

"vmPhysAddr": "Physical address of a resident page."
contract "Where the byte is now. Only a lock, or a region made with `K_NODEMAND`, keeps it there."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    address "Any address.";
    physical "Where the physical address goes.";
}
result "0."
errors {
    Inval BAD_CAP;
    Unknown OTHER_SITE;
    Addr "The address is in no region, or its page was never touched.";
    Fault BAD_POINTER;
    Priv "The caller is no supervisor thread.";
}
assertions [240..=240]
example r"unsigned long physical(unsigned long address)
{
    unsigned long at = 0;
    return vmPhysAddr(K_MYACTOR, address, &at) < 0 ? 0 : at;
}
"
see ["vmLock", "devMemory"]

"rgnInitFromActor": "Makes a region with a deferred copy of a range of an actor."
contract "The new region holds what the source holds at the call; stores into either are never seen by the other. Nothing is copied until one of them is written: then one page. Only pages that must stay in their \
frames are copied at once: locked ones, those of `K_NODEMAND` regions, and those with a mutex or semaphore that threads wait for. Source and copies may go in any order, and copies of copies are copies. \
The range may lie in several regions; protection and other options are those of the new region alone. All or nothing happens."
privilege "For another actor that is a system or supervisor actor, on either side, system privilege."
arguments {
    target "Capability of the actor that gets the region; null: the caller's own.";
    target_region "As for `rgnAllocate`, without `K_RESERVED`; its size is that of the source. `start_addr` and `size` are written back.";
    source "Capability of the actor that is copied from; null: the caller's own.";
    source_region "`start_addr` and `size` of what is copied.";
}
result "0."
errors {
    Inval "A capability is ill-formed, its key is wrong or its actor is gone; or options are unknown or contradict each other.";
    Unknown OTHER_SITE;
    Round "An address is not a multiple of the page size.";
    Size "The sizes differ, or are 0, or larger than 1 GiB or than the space.";
    Addr "Not all of the source is in regions that have memory; or the target is not within the actor's address space.";
    Overlap "A region of the target's space is in the way.";
    Space "There is no free range of that size.";
    NoMem "The site's tables are full, or there is no memory for pages that are copied at once.";
    Fault BAD_POINTER;
    Priv FOREIGN;
}
missing "A page that was copied as a whole because its source was written first is not merged again."
assertions [233..=235]
example r"/* A snapshot of a page, somewhere else. */
unsigned long snapshot(unsigned long page)
{
    KnRgnDesc from = { .start_addr = page, .size = PAGE_SIZE };
    KnRgnDesc to = { .size = PAGE_SIZE, .options = K_ANYWHERE };
    return rgnInitFromActor(K_MYACTOR, &to, K_MYACTOR, &from) < 0 ? 0 : to.start_addr;
}
"
see ["rgnMapFromActor", "rgnDup", "vmCopy"]

"rgnMapFromActor": "Makes a region that shares a range of an actor."
contract "The new region shows the very memory of the source: stores of either are seen by the other at once. Each has its own protection. The memory lives until the last region that shows it goes; it is counted \
with one of the actors that show it."
privilege "For another actor that is a system or supervisor actor, on either side, system privilege."
arguments {
    target "Capability of the actor that gets the region; null: the caller's own.";
    target_region "As for `rgnAllocate`, without `K_RESERVED`; its size is that of the source. `start_addr` and `size` are written back.";
    source "Capability of the actor whose memory is shared; null: the caller's own.";
    source_region "`start_addr` and `size` of what is shared.";
}
result "0."
errors {
    Inval "A capability is ill-formed, its key is wrong or its actor is gone; or options are unknown or contradict each other.";
    Unknown OTHER_SITE;
    Round "An address is not a multiple of the page size.";
    Size "The sizes differ, or are 0, or larger than 1 GiB or than the space.";
    Addr "Not all of the source is in regions that have memory; or the target is not within the actor's address space.";
    Overlap "A region of the target's space is in the way.";
    Space "There is no free range of that size.";
    NoMem "The site's table of regions is full, or `K_NODEMAND` is asked for and there is not enough memory.";
    Fault BAD_POINTER;
    Priv FOREIGN;
}
assertions [236..=236]
example r"/* The other actor's page, for both to write. */
unsigned long window(const KnCap *actor, unsigned long page)
{
    KnRgnDesc from = { .start_addr = page, .size = PAGE_SIZE };
    KnRgnDesc to = { .size = PAGE_SIZE, .options = K_ANYWHERE | K_WRITABLE };
    return rgnMapFromActor(K_MYACTOR, &to, actor, &from) < 0 ? 0 : to.start_addr;
}
"
see ["rgnInitFromActor", "rgnDup"]

"rgnDup": "Duplicates the memory of an actor into an actor without any."
contract "The base of a UNIX fork: the target gets regions at the same addresses, with the same sizes and options. With `K_INHERITSHARE` all are shared, with `K_INHERITCOPY` all are copied (deferred, as by \
`rgnInitFromActor`), with 0 each as it is marked, and those without a mark are left out. Regions that share memory in the source share their copy. Registers of devices are always left out. All copies are of one \
instant, and all or nothing happens."
privilege "For another actor that is a system or supervisor actor, on either side, system privilege."
arguments {
    target "Capability of the actor that gets the memory.";
    source "Capability of the actor that is duplicated; null: the caller's own.";
    flags "`K_INHERITSHARE`, `K_INHERITCOPY` or 0.";
}
result "0."
errors {
    Inval "A capability is ill-formed, its key is wrong or its actor is gone; or the target has a region, or is the source, or either is a supervisor actor; or both flags or another are named.";
    Unknown OTHER_SITE;
    NoMem "The site's tables are full, or there is no memory for pages that are copied at once.";
    Fault BAD_POINTER;
    Priv FOREIGN;
}
assertions [237..=238]
example r"/* An actor with a copy of the caller's memory, without a thread. */
int twin(KnCap *child)
{
    int result = actorCreate(K_MYACTOR, child, K_USERACTOR, K_ACTIVE);
    return result < 0 ? result : rgnDup(child, K_MYACTOR, K_INHERITCOPY);
}
"
see ["rgnSetInherit", "rgnInitFromActor", "actorCreate"]

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
contract "Bytes that the Nucleus manages, that are free now, and that are fixed: the Nucleus' own tables and kept bodies of messages, and regions made with `K_NODEMAND` or for devices. \
Then what left memory: bytes that are in temporary segments and not here, how many such segments there are, and how many pages went and came back since the site began.\
\n\nA site that was given room for pages outside (`chorus.swap=` on its command line, `--swap` of the command) has pages leave when few frames are free. \
They go to the *default mapper*: a system actor that has a port in the static system group with stamp `STAMP_DEFAULT_MAPPER`. It is asked as the mapper of a segment is (see `rgnMap`): `KN_MPCREATE` once for each piece of memory \
of which a page has to leave first, answered with annex `KnMpCreateReply`, whose capability names a port of its own; `KN_MPPUSHOUT` and `KN_MPPULLIN` with one page each, at offsets that say nothing about the actor's addresses; `KN_MPRELEASE` when the memory has gone. \
A thread that touches a page outside waits, and so does one that needs a frame while there are few, and nobody else. A page that is refused stays; one that comes back with other bytes than it went with is not taken: \
the thread has exception 9, a call `K_EMAPPER`. Pages of supervisor actors, of the default mapper and the Network Manager, locked pages and those of regions with `K_NODEMAND`, and buffers of waiting threads never leave. \
Without a default mapper nothing leaves, and memory that cannot be had is exception 9 or `K_ENOMEM`."
arguments {
    stat "Where the totals go.";
}
result "0."
errors {
    Fault BAD_POINTER;
}
assertions [32..=32, 253..=254]
example r"unsigned long free_bytes(void)
{
    KnVmStat stat = { 0 };
    vmStat(&stat);
    return stat.free;
}
"
see ["rgnAllocate", "siteStat", "actorStat"]
}
