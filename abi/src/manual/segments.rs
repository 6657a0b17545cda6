//! Segments: mapping, copying, reading, writing and flushing them.
//!
//! What the Nucleus asks of a mapper is said once, at `rgnMap`.

use super::*;

const BAD_SEGMENT: &str = "A capability of an actor is ill-formed, its key is wrong or its actor is gone; or the segment's names neither a port nor a group in functional mode; or flags are unknown.";
const NO_MAPPER: &str =
    "The mapper's port or group is not on this site, or an actor is of another site.";
const MAPPER_FAILED: &str = "The mapper refused, died, or answered nonsense.";

const NO_CACHE: &str = "No cache of this site has the capability.";
const SUPERVISOR_CALLER: &str = "The caller is no supervisor thread.";

section! {
"rgnMap": "Makes a region that shows a part of a segment."
contract "A segment is bytes that a *mapper* has: a server whose port or group the segment's capability names. All regions of a site that show the segment share its one local cache, so that a store by one is seen by all at once. \
A page is asked of the mapper when it is first touched, and once however many threads wait for it; they wait, and nobody else. A call whose arguments lie in such a page waits too, and is then made from its beginning. \
\n\nThe Nucleus sends requests to the mapper's port, from no port and with a protection identifier of zeros: annex `KnMpRequest`, answered with annex `KnMpReply`. `KN_MPPULLIN` wants `size` bytes from `offset`, of which the first page is \
needed; the answer's body begins at that `offset`, and may be shorter than its `size`: the rest is zeros. `access` of the answer says whether stores are allowed. `KN_MPGETACCESS` asks for that later. `KN_MPPUSHOUT` brings a page that was \
stored into: the mapper has it when it answers with `diag` 0. `KN_MPRELEASE` comes when the cache goes, if an answer had `release` set. An answer with a negative `diag`, without an annex, or for other pages than those asked for fails the \
request: a thread that touched the page has exception 9 (and the next touch asks again), a call `K_EMAPPER` or `K_EFAULT`. A page that was refused three times is kept and the segment marked: stores into it fail from then on. \
\n\nWhen nobody uses a segment any more, what the mapper does not have is pushed out, and the cache goes."
privilege "For another actor that is a system or supervisor actor, system privilege."
waits "for the mapper, with `K_NODEMAND`."
arguments {
    actor_cap "Capability of the actor that gets the region; null: the caller's own.";
    region "As for `rgnAllocate`, without `K_RESERVED`; `K_FILLZERO` means nothing. `start_addr` and `size` are written back.";
    segment "The segment and the offset of its part, whole pages. Its `size` is not looked at.";
}
result "0."
errors {
    Inval BAD_SEGMENT;
    Unknown NO_MAPPER;
    Round "The address or the offset is not a multiple of the page size.";
    Size "The region's size is 0, or larger than 1 GiB or than the space.";
    Addr "The range is not all within the actor's address space.";
    Overlap "A region of the space is in the way.";
    Space "There is no free range of that size.";
    Offset "The part ends beyond 2^40 bytes.";
    Mapper MAPPER_FAILED;
    NoMem "The site's tables are full, or there is no memory.";
    Fault BAD_POINTER;
    Priv FOREIGN;
}
missing "Mappers on other sites. Pages of segments leave memory when it is short only on a site from which pages can leave at all (`vmStat`), and nothing is written back from time to time, so that there is no option `NOSYNC`. A mapper's `diag` is not passed on."
assertions [242..=244, 249..=250]
example r"/* A window on a file. */
unsigned long window(const KnCap *file, unsigned long offset, unsigned long size)
{
    KnObjDesc part = { .data_object = *file, .start_offset = offset };
    KnRgnDesc region = { .size = size, .options = K_ANYWHERE | K_WRITABLE };
    return rgnMap(K_MYACTOR, &region, &part) < 0 ? 0 : region.start_addr;
}
"
see ["rgnInit", "sgRead", "sgFlush", "rgnFree"]

"rgnInit": "Makes a region with a deferred copy of a part of a segment."
contract "The region begins with the bytes of the segment from the offset on, as many as the descriptor's `size` says, and goes on with zeros. It is private: stores never reach the mapper, and what is stored into the segment on this \
site after the call is not seen in it. Pages come from the mapper when they are touched, as with `rgnMap`; a page that is data only in part is fetched by the call."
privilege "For another actor that is a system or supervisor actor, system privilege."
waits "for the mapper, if the size is not whole pages, or with `K_NODEMAND`."
arguments {
    actor_cap "Capability of the actor that gets the region; null: the caller's own.";
    region "As for `rgnAllocate`, without `K_RESERVED`. `start_addr` and `size` are written back.";
    segment "The segment, the offset of its part, whole pages, and the part's size in bytes.";
}
result "0."
errors {
    Inval BAD_SEGMENT;
    Unknown NO_MAPPER;
    Round "The address or the offset is not a multiple of the page size.";
    Size "The region's size is 0, or larger than 1 GiB or than the space.";
    Addr "The range is not all within the actor's address space.";
    Overlap "A region of the space is in the way.";
    Space "There is no free range of that size.";
    Offset "The part ends beyond 2^40 bytes.";
    Mapper MAPPER_FAILED;
    NoMem "The site's tables are full, or there is no memory.";
    Fault BAD_POINTER;
    Priv FOREIGN;
}
missing "What the mapper itself changes before a page was pulled in is seen in the copy: it takes the page when it needs it."
assertions [251..=251]
example r"/* Data of a program: size bytes of a file, then zeros. */
int load_data(const KnCap *file, unsigned long start, unsigned long offset, unsigned long size, unsigned long room)
{
    KnObjDesc part = { .data_object = *file, .start_offset = offset, .size = size };
    KnRgnDesc region = { .start_addr = start, .size = room, .options = K_WRITABLE };
    return rgnInit(K_MYACTOR, &region, &part);
}
"
see ["rgnMap", "rgnInitFromActor"]

"sgRead": "Reads bytes of a segment."
contract "Through the segment's local cache: what was stored by a mapping is read. All bytes are there before the first is copied, so that the call is one step for all who write the segment on this site. Offset, size and address may be any."
privilege "For another actor that is a system or supervisor actor, system privilege."
waits "for the mapper, until all pages are here."
arguments {
    segment "The segment, the first byte, and how many: at most 16 MiB.";
    dst_actor "Capability of the actor that gets the bytes; null: the caller's own.";
    dst "Their address there.";
    flags "0, or `K_MOVE`: whole pages that lie at the beginning of a page in both, and that the mapper has, may go from the cache to the actor instead of being copied; they are fetched again when they are needed.";
}
result "The number of bytes read."
errors {
    Inval BAD_SEGMENT;
    Unknown NO_MAPPER;
    Addr "Not all of the target is in regions.";
    Prot "The target forbids stores.";
    Size "More than 16 MiB.";
    Offset "The part ends beyond 2^40 bytes.";
    Mapper MAPPER_FAILED;
    NoMem "The site's tables are full, or there is no memory.";
    Fault BAD_POINTER;
    Priv FOREIGN;
}
assertions [245..=245]
example r"int first_word(const KnCap *file, unsigned long *word)
{
    KnObjDesc part = { .data_object = *file, .size = sizeof *word };
    return sgRead(&part, K_MYACTOR, (unsigned long)word, 0);
}
"
see ["sgWrite", "rgnMap"]

"sgWrite": "Writes bytes of a segment."
contract "Into the segment's local cache: mappings show them at once, the mapper hears of them by a flush, or when nobody uses the segment any more. The mapper must have allowed stores. Nothing is written when an error is returned."
privilege "For another actor that is a system or supervisor actor, system privilege."
waits "for the mapper, until all pages are here and may be stored into."
arguments {
    src_actor "Capability of the actor that has the bytes; null: the caller's own.";
    src "Their address there.";
    segment "The segment, the first byte, and how many: at most 16 MiB.";
    flags "0, or `K_MOVE`: whole pages that lie at the beginning of a page in both may go to the cache instead of being copied, and show zeros in the actor's memory afterwards.";
}
result "The number of bytes written."
errors {
    Inval BAD_SEGMENT;
    Unknown NO_MAPPER;
    Addr "Not all of the source is in regions.";
    Prot "The source has no memory.";
    Size "More than 16 MiB.";
    Offset "The part ends beyond 2^40 bytes.";
    Mapper "The mapper refused the pages or stores into them, died, or answered nonsense; or it did not take earlier stores.";
    NoMem "The site's tables are full, or there is no memory.";
    Fault BAD_POINTER;
    Priv FOREIGN;
}
assertions [246..=246]
example r"int set_first_word(const KnCap *file, unsigned long word)
{
    KnObjDesc part = { .data_object = *file, .size = sizeof word };
    return sgWrite(K_MYACTOR, (unsigned long)&word, &part, 0);
}
"
see ["sgRead", "sgFlush"]

"sgStat": "Describes the cache of a segment on this site."
contract "What is in memory here of a segment. It asks nobody."
arguments {
    segment "Capability of the segment.";
    stat "Where the description goes.";
}
result "0."
errors {
    Unknown "Nothing of the segment is on this site.";
    Fault BAD_POINTER;
}
assertions [252..=252]
example r"unsigned long bytes_here(const KnCap *file)
{
    KnLcStat stat = { 0 };
    return sgStat(file, &stat) < 0 ? 0 : stat.allocated;
}
"
see ["sgFlush", "rgnStat"]

"sgFlush": "Pushes out what a segment's mapper does not have."
contract "Each page of the range that was stored into since the mapper had it last is sent to the mapper (`KN_MPPUSHOUT`), one after another, and the call returns when it has answered for all; clean pages are not sent. With `K_READABLE` \
stores into the range need the mapper's leave anew; with `K_NOACCESS` its pages are dropped too, so that the next touch asks the mapper; `K_DISCARD` drops them and sends nothing. Locked pages stay. Copies keep what they saw. With `K_ASYNC` \
nothing is waited for. With `K_ORDERED` a call whose number is not larger than the last one's does nothing."
privilege "`K_READABLE`, `K_NOACCESS` and `K_DISCARD` need system privilege: they are the mapper's."
waits "for the mapper to answer for each page."
arguments {
    segment "The segment, offset and size of the range, whole pages; size 0: to its end.";
    flags "One of `K_READABLE`, `K_NOACCESS`, `K_DISCARD`, or `K_ASYNC`, or none; and `K_ORDERED`.";
    order "Number for `K_ORDERED`.";
}
result "0."
errors {
    Inval "Flags are unknown or contradict each other.";
    Unknown "Nothing of the segment is on this site.";
    Round "Offset or size is not a multiple of the page size.";
    Mapper "The mapper did not take a page three times, or died. Its pages are kept.";
    NoMem "There are too many requests, or no memory.";
    Fault BAD_POINTER;
    Priv "The caller has user privilege, and the flags need more.";
}
assertions [247..=248, 258..=258]
example r"int save(const KnCap *file)
{
    KnObjDesc all = { .data_object = *file };
    return sgFlush(&all, 0, 0);
}
"
see ["sgSyncAll", "vmFlush", "rgnMap"]

"sgSyncAll": "Pushes out all segments of the site."
contract "As `sgFlush` without flags, for every segment of which something is here."
waits "for the mappers to answer for each page."
arguments {}
result "0."
errors {
    Mapper "A mapper did not take a page; segments behind it were not looked at.";
    NoMem "There are too many requests, or no memory.";
    Priv NOT_TRUSTED;
}
assertions [247..=247]
example r"int before_the_end(void)
{
    return sgSyncAll();
}
"
see ["sgFlush", "siteHalt"]

"vmFlush": "Flushes the segments that are shown in a range."
contract "As `sgFlush` for the part of each segment that a region shows in the range; other memory there is passed over."
privilege "For another actor that is a system or supervisor actor, and for `K_READABLE`, `K_NOACCESS` and `K_DISCARD`, system privilege."
waits "for the mapper to answer for each page."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    address "First address.";
    size "Bytes, whole pages.";
    flags "As for `sgFlush`, but `K_ORDERED` means nothing.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; or flags are unknown or contradict each other.";
    Unknown OTHER_SITE;
    Round "Address or size is not a multiple of the page size.";
    Size "The size is 0.";
    Addr "Not all of the range is in regions.";
    Mapper "The mapper did not take a page three times, or died. Its pages are kept.";
    NoMem "There are too many requests, or no memory.";
    Fault BAD_POINTER;
    Priv "The caller has user privilege, and the actor is another trusted one or the flags need more.";
}
assertions [247..=248]
example r"int save_window(unsigned long start, unsigned long size)
{
    return vmFlush(K_MYACTOR, start, size, 0);
}
"
see ["sgFlush", "rgnMap"]

"lcOpen": "Keeps the cache of a segment, and gives an LI for it."
contract "The cache stays, whatever else uses it, until `lcClose` or the end of the caller's actor. The LI is that actor's alone."
arguments {
    segment "Capability of the segment.";
    flags "0.";
    cache_li "Where the LI goes.";
}
result "0."
errors {
    Inval "The flags are not 0, or the capability names neither a port nor a group in functional mode.";
    Unknown NO_MAPPER;
    NoMem "The site's tables are full.";
    Fault BAD_POINTER;
    Priv SUPERVISOR_CALLER;
}
assertions [245..=246]
example r"int keep(const KnCap *file)
{
    int cache = 0;
    int result = lcOpen(file, 0, &cache);
    return result < 0 ? result : cache;
}
"
see ["lcClose", "lcCap", "lcRead", "lcWrite"]

"lcClose": "Gives back what `lcOpen` gave."
contract "If nobody uses the segment any more, what its mapper does not have is pushed out, and the cache goes."
arguments {
    cache_li "LI of the cache.";
}
result "0."
errors {
    Inval "The caller's actor opened nothing of this LI.";
    Priv SUPERVISOR_CALLER;
}
assertions [245..=246]
example r"void forget(int cache)
{
    lcClose(cache);
}
"
see ["lcOpen"]

"lcCap": "Writes the capability of a cache itself."
contract "It is what mappers see as `lc_cap` in requests, and name a cache by in `lcFlush` and the like."
arguments {
    cache_li "LI of the cache.";
    cache_cap "Where the capability goes.";
}
result "0."
errors {
    Inval "The caller's actor opened nothing of this LI.";
    Fault BAD_POINTER;
    Priv SUPERVISOR_CALLER;
}
assertions [258..=258]
example r"int name_of(int cache, KnCap *name)
{
    return lcCap(cache, name);
}
"
see ["lcOpen", "lcFlush", "lcStat"]

"lcRead": "Reads bytes of an open cache."
contract "As `sgRead`, by the LI of `lcOpen`."
waits "for the mapper, until all pages are here."
arguments {
    cache_li "LI of the cache.";
    offset "First byte.";
    dst_actor "Capability of the actor that gets the bytes; null: the caller's own.";
    dst "Their address there.";
    size "How many bytes, at most 16 MiB; how many were read, which is as many.";
}
result "0."
errors {
    Inval "The caller's actor opened nothing of this LI; or the capability is ill-formed, its key is wrong, or its actor is gone.";
    Unknown OTHER_SITE;
    Addr "Not all of the target is in regions.";
    Prot "The target forbids stores.";
    Size "More than 16 MiB.";
    Offset "The part ends beyond 2^40 bytes.";
    Mapper MAPPER_FAILED;
    NoMem "There is no memory, or there are too many requests.";
    Fault BAD_POINTER;
    Priv SUPERVISOR_CALLER;
}
assertions [245..=245]
example r"int word_at(int cache, unsigned long offset, unsigned long *word)
{
    unsigned long size = sizeof *word;
    return lcRead(cache, offset, K_MYACTOR, (unsigned long)word, &size);
}
"
see ["lcWrite", "sgRead"]

"lcWrite": "Writes bytes of an open cache."
contract "As `sgWrite`, by the LI of `lcOpen`."
waits "for the mapper, until all pages are here and may be stored into."
arguments {
    cache_li "LI of the cache.";
    offset "First byte.";
    src_actor "Capability of the actor that has the bytes; null: the caller's own.";
    src "Their address there.";
    size "How many bytes, at most 16 MiB; how many were written, which is as many.";
}
result "0."
errors {
    Inval "The caller's actor opened nothing of this LI; or the capability is ill-formed, its key is wrong, or its actor is gone.";
    Unknown OTHER_SITE;
    Addr "Not all of the source is in regions.";
    Prot "The source has no memory.";
    Size "More than 16 MiB.";
    Offset "The part ends beyond 2^40 bytes.";
    Mapper "The mapper refused the pages or stores into them, died, or answered nonsense; or it did not take earlier stores.";
    NoMem "There is no memory, or there are too many requests.";
    Fault BAD_POINTER;
    Priv SUPERVISOR_CALLER;
}
assertions [246..=246]
example r"int set_word(int cache, unsigned long offset, unsigned long word)
{
    unsigned long size = sizeof word;
    return lcWrite(cache, offset, K_MYACTOR, (unsigned long)&word, &size);
}
"
see ["lcRead", "sgWrite"]

"lcFlush": "Pushes out what the mapper does not have of a cache."
contract "As `sgFlush`, but the cache is named by its own capability, which its mapper has from every request."
waits "for the mapper to answer for each page."
arguments {
    cache "The cache, offset and size of the range, whole pages; size 0: to its end.";
    flags "As for `sgFlush`.";
    order "Number for `K_ORDERED`.";
}
result "0."
errors {
    Inval "Flags are unknown or contradict each other.";
    Unknown NO_CACHE;
    Round "Offset or size is not a multiple of the page size.";
    Mapper "The mapper did not take a page three times, or died. Its pages are kept.";
    NoMem "There are too many requests, or no memory.";
    Fault BAD_POINTER;
    Priv NOT_TRUSTED;
}
missing "Caches on other sites. A mapper that calls this from the thread that serves its port waits for itself."
assertions [258..=258]
example r"/* A mapper takes back what it gave. */
int recall(const KnCap *cache)
{
    KnObjDesc all = { .data_object = *cache };
    return lcFlush(&all, K_NOACCESS, 0);
}
"
see ["sgFlush", "lcSetRights"]

"lcSetRights": "Takes rights from a part of a cache."
contract "With `access` `K_READABLE` stores need the mapper's leave anew. With 0 the pages are dropped, so that the next touch asks the mapper; those that it does not have stay, for loads only, unless `K_NOACCESS` says that they go too. \
After the call no processor makes an access that is forbidden now. Locked pages stay. Copies keep what they saw."
arguments {
    cache "The cache, offset and size of the range, whole pages; size 0: to its end.";
    access "`K_READABLE` or 0.";
    flags "`K_NOACCESS`, `K_ORDERED` (see `sgFlush`) or 0.";
    order "Number for `K_ORDERED`.";
}
result "0."
errors {
    Inval "Another access or flag, or both `K_READABLE` and `K_NOACCESS`.";
    Unknown NO_CACHE;
    Round "Offset or size is not a multiple of the page size.";
    Fault BAD_POINTER;
    Priv NOT_TRUSTED;
}
missing "Caches on other sites."
assertions [258..=258]
example r"int read_only(const KnCap *cache)
{
    KnObjDesc all = { .data_object = *cache };
    return lcSetRights(&all, K_READABLE, 0, 0);
}
"
see ["lcFlush", "lcTrunc"]

"lcPushData": "Gives pages of one cache to another, in answer to a pull-in."
contract "Instead of answering an `MpPullIn` with data, a mapper has the cache that has them give them to the one that asked, whose number the request's annex has. Who waits for the pages goes on; the mapper's own \
answer to the request, if it comes later, means nothing. The source keeps its pages, or keeps them for loads only (`K_READABLE`), or loses them (`K_NOACCESS`): then they are not copied, and what the mapper does not have \
of them is the target's to push out. A page that came to the target otherwise meanwhile stays. Locked pages stay in the source. All or nothing happens."
arguments {
    source "The cache that has the data, offset and size of the range, whole pages, all of which are there.";
    source_flags "0, `K_READABLE` or `K_NOACCESS`: what is left in the source; and `K_ORDERED` (see `sgFlush`), about the source.";
    target "The cache that asked, the offset that it asked for, and the same size, at most what it asked for.";
    target_flags "`K_WRITABLE`: it may store. `K_READABLE` and `K_PAGEFAULT` may be said and change nothing.";
    pull_in_id "`id` of the request.";
    order "Number for `K_ORDERED`: one that comes too late does nothing, and the pull-in stays out.";
}
result "0."
errors {
    Inval "Flags are unknown or contradict each other; the sizes differ or are 0; not all pages are in the source; both caches are the same; or no pull-in of that number is out that the target's range answers.";
    Unknown NO_CACHE;
    Round "An offset or a size is not a multiple of the page size.";
    NoMem "There is no memory for copies of the pages.";
    Fault BAD_POINTER;
    Priv NOT_TRUSTED;
}
missing "Caches on other sites, since mappers serve the caches of their own site only: the caches are of two segments."
assertions [258..=258]
example r"/* The request is answered with a page that another segment has here, which loses it. */
int hand_on(const KnMpRequest *request, const KnCap *from, unsigned long offset)
{
    KnObjDesc source = { .data_object = *from, .start_offset = offset, .size = 4096 };
    KnObjDesc target = { .data_object = request->lc_cap, .start_offset = request->offset, .size = 4096 };
    return lcPushData(&source, K_NOACCESS, &target, K_WRITABLE | K_PAGEFAULT, request->id, 0);
}
"
see ["lcFlush", "lcSetRights", "rgnMap"]

"lcTrunc": "Shapes the end of a segment in a cache."
contract "The range is the segment's last: what is here of it may be stored into, and is zeros from `zero_offset` on, which the mapper does not have; all behind the range is dropped. With size 0 all from the offset on is dropped."
arguments {
    cache "The cache, offset and size of the range, whole pages.";
    zero_offset "First byte that is zero, within the range.";
    flags "`K_ORDERED` (see `sgFlush`) or 0.";
    order "Number for `K_ORDERED`.";
}
result "0."
errors {
    Inval "Another flag; or `zero_offset` is not within the range.";
    Unknown NO_CACHE;
    Round "Offset or size is not a multiple of the page size.";
    NoMem "There might be no memory for the pages as copies saw them.";
    Fault BAD_POINTER;
    Priv NOT_TRUSTED;
}
missing "Caches on other sites."
assertions [258..=258]
example r"/* The file is empty now. */
int emptied(const KnCap *cache)
{
    KnObjDesc all = { .data_object = *cache };
    return lcTrunc(&all, 0, 0, 0);
}
"
see ["lcFillZero", "lcSetRights"]

"lcFillZero": "Zeros a part of a cache without asking for it."
contract "The pages of the range are here and zeros, may be stored into, and the mapper does not have them: a flush sends them."
arguments {
    cache "The cache, offset and size of the range, whole pages, at most 16 MiB.";
}
result "0."
errors {
    Unknown NO_CACHE;
    Round "Offset or size is not a multiple of the page size.";
    Size "More than 16 MiB, or size 0, which means to the end.";
    NoMem "There might be no memory for the pages, and for those that copies saw.";
    Fault BAD_POINTER;
    Priv NOT_TRUSTED;
}
missing "Caches on other sites."
assertions [258..=258]
example r"int grown(const KnCap *cache, unsigned long end, unsigned long more)
{
    KnObjDesc part = { .data_object = *cache, .start_offset = end, .size = more };
    return lcFillZero(&part);
}
"
see ["lcTrunc", "lcFlush"]

"lcStat": "Describes the cache with a capability."
contract "As `sgStat`, but named by the cache's own capability. Keys are zero for callers with user privilege."
arguments {
    cache "Capability of the cache.";
    stat "Where the description goes.";
}
result "0."
errors {
    Unknown NO_CACHE;
    Fault BAD_POINTER;
}
assertions [252..=252]
example r"unsigned long unsaved(const KnCap *cache)
{
    KnLcStat stat = { 0 };
    return lcStat(cache, &stat) < 0 ? 0 : stat.dirty;
}
"
see ["sgStat", "lcFlush"]
}
