/* The interface of the Chorus Nucleus for actors in C. Generated from the table of calls: do not edit.
 *
 * One file of the actor defines CHORUS_ACTOR before it includes this header: entry, image note and end of the actor come from there,
 * and it defines `int chorus_main(void)`. An actor is linked as a static PIE without libraries:
 *
 *   gcc -O2 -ffreestanding -fPIE -mno-red-zone -mgeneral-regs-only -fno-stack-protector -fcf-protection=none \
 *       -nostdlib -static-pie -Wl,-z,norelro,-z,noexecstack,--build-id=none -Iactors/runtime/include -o hello-c hello.c
 *
 * The calls are documented by their rows in abi/src/table.rs, which stand before each here too, and at length by a page each in docs/calls.
 */
#ifndef CHORUS_H
#define CHORUS_H

/* The caller's actor; the supervisor address space. */
#define K_MYACTOR ((const KnCap *)0)
#define K_SVACTOR ((const KnCap *)-1)

/* A call goes through its import record, which the loader fills: with a stub for user and system actors, with the Nucleus itself for supervisor actors. */
struct chorus_import { char name[32]; unsigned long slot; };
#define CHORUS_CALL(...) CHORUS_CALL_N(__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0)(__VA_ARGS__)
#define CHORUS_CALL_N(NAME, A, B, C, D, E, F, N, ...) CHORUS_CALL_PASTE(N)
#define CHORUS_CALL_PASTE(N) CHORUS_CALL_##N
#define CHORUS_CALL_0(NAME) \
    __attribute__((section("chorus_imports"))) static volatile struct chorus_import import __attribute__((aligned(8))) = { NAME, 0 }; \
    return (int)((long (*)(void))import.slot)()
#define CHORUS_CALL_1(NAME, A0) \
    __attribute__((section("chorus_imports"))) static volatile struct chorus_import import __attribute__((aligned(8))) = { NAME, 0 }; \
    return (int)((long (*)(unsigned long))import.slot)(A0)
#define CHORUS_CALL_2(NAME, A0, A1) \
    __attribute__((section("chorus_imports"))) static volatile struct chorus_import import __attribute__((aligned(8))) = { NAME, 0 }; \
    return (int)((long (*)(unsigned long, unsigned long))import.slot)(A0, A1)
#define CHORUS_CALL_3(NAME, A0, A1, A2) \
    __attribute__((section("chorus_imports"))) static volatile struct chorus_import import __attribute__((aligned(8))) = { NAME, 0 }; \
    return (int)((long (*)(unsigned long, unsigned long, unsigned long))import.slot)(A0, A1, A2)
#define CHORUS_CALL_4(NAME, A0, A1, A2, A3) \
    __attribute__((section("chorus_imports"))) static volatile struct chorus_import import __attribute__((aligned(8))) = { NAME, 0 }; \
    return (int)((long (*)(unsigned long, unsigned long, unsigned long, unsigned long))import.slot)(A0, A1, A2, A3)
#define CHORUS_CALL_5(NAME, A0, A1, A2, A3, A4) \
    __attribute__((section("chorus_imports"))) static volatile struct chorus_import import __attribute__((aligned(8))) = { NAME, 0 }; \
    return (int)((long (*)(unsigned long, unsigned long, unsigned long, unsigned long, unsigned long))import.slot)(A0, A1, A2, A3, A4)
#define CHORUS_CALL_6(NAME, A0, A1, A2, A3, A4, A5) \
    __attribute__((section("chorus_imports"))) static volatile struct chorus_import import __attribute__((aligned(8))) = { NAME, 0 }; \
    return (int)((long (*)(unsigned long, unsigned long, unsigned long, unsigned long, unsigned long, unsigned long))import.slot)(A0, A1, A2, A3, A4, A5)

/* Constants. */
#define ABI_VERSION (2)
#define K_MYSELF (0)
#define K_DEFAULTPORT (0)
#define K_ANYENABLED (-1)
#define K_NONEPORT (-2)
#define K_NODELAY_LIMIT (-1)
#define K_USERACTOR (0)
#define K_SYSTEMACTOR (1)
#define K_SUPACTOR (2)
#define K_USERTHREAD (0)
#define K_SUPTHREAD (1)
#define K_ACTIVE (0)
#define K_INACTIVE (1)
#define K_STOPPED (2)
#define K_BROADMODE (0)
#define K_FUNCMODE (1)
#define K_FUNCUMODE (2)
#define K_FUNCXMODE (3)
#define K_DYNAMIC (0)
#define K_STATUSER (1)
#define K_STATSYS (2)
#define K_MIGRATEMSG (0)
#define K_DROPMSG (1)
#define K_CUIDECLARED (1024)
#define K_UISITE (1)
#define K_UIPORT (2)
#define K_UIGROUP (3)
#define K_CMSGANNEXSIZE (64)
#define K_CMSGSIZEMAX (65536)
#define K_CPORTQUEUE (64)
#define K_CMSGSAVEDMAX (64)
#define K_ABORTABLE (1)
#define K_MOVE (2)
#define K_WRITABLE (1)
#define K_EXECUTABLE (2)
#define K_SUPERVISOR (4)
#define K_FILLZERO (8)
#define K_ANYWHERE (16)
#define K_RESTRICTIVE (32)
#define K_RESERVED (64)
#define K_NODEMAND (128)
#define K_NOWAITFORMEMORY (256)
#define K_INHERITCOPY (512)
#define K_INHERITSHARE (1024)
#define K_READABLE (2048)
#define K_NOACCESS (4096)
#define K_DISCARD (8192)
#define K_ASYNC (16384)
#define K_ORDERED (32768)
#define K_PAGEFAULT (65536)
#define KN_MPCREATE (1)
#define KN_MPRELEASE (2)
#define KN_MPPULLIN (3)
#define KN_MPPUSHOUT (4)
#define KN_MPGETACCESS (5)
#define SITE_MAX (8191)
#define GATEWAY_SITE (8191)
#define UI_STAMP_MAX (134217727)
#define STAMP_CONSOLE (1)
#define STAMP_FILES (2)
#define STAMP_CONTROL (3)
#define STAMP_PAGES (4)
#define STAMP_SITE_MANAGER (16)
#define STAMP_NETWORK_MANAGER (17)
#define STAMP_DEFAULT_MAPPER (1)
#define PAGE_SIZE (4096)
#define NAME_MAX (15)
#define CLASS_DEFAULT (0)
#define CLASS_FIFO (1)
#define CLASS_RR (2)
#define CLASS_RT (3)
#define K_RT_PRIOMAX (159)
#define K_RT_PRIOMIN (100)
#define K_EVENT_OR (0)
#define K_EVENT_AND (1)
#define K_CLOCK_REALTIME (0)
#define K_TIMER_ABSOLUTE (1)
#define K_ANYCPU (-1)
#define FPU_AREA_SIZE (512)
#define K_EXC_REPORT (1)
#define K_EXC_WRITE (1)
#define K_EXC_FETCH (2)
#define K_EXC_CONTINUE (0)
#define K_EXC_NOTHANDLED (1)
#define K_EXC_DELETE (2)
#define K_EXC_BADTRAP (6)
#define K_ACTOR_EXCVECT_MAX (4)
#define K_ACTOR_ABORTVECT_MAX (4)
#define K_TRAP_FIRST (65)
#define K_TRAP_LAST (79)
#define K_TRAP_TABLE (512)
#define K_LAP_SAFE (1)
#define K_LAP_PROTECTED (2)
#define K_LAP_NOBLOCK (4)
#define K_LAPNAMEMAX (7)
#define K_CONNECTED_LAP (0)
#define K_INTR_UNCLAIMED (0)
#define K_INTR_CLAIMED (1)
#define K_DEV_PORTS (65536)
#define K_DEV_SERIAL (65537)
#define CONSOLE_WRITE (1)
#define CONSOLE_READ (2)
#define STREAM_OUT (1)
#define STREAM_ERR (2)

/* Errors: a call returns one of these, or a number from 0 up. */
#define K_OK (0)
#define K_EINVAL (-1) /* ill-formed capability or identifier, wrong state, no current message, bad option */
#define K_EUNKNOWN (-2) /* well-formed name of something that cannot be found or reached; nothing was executed */
#define K_EFAULT (-3) /* pointer outside the caller's address space */
#define K_ENOPORT (-4) /* the port waited on or called disappeared */
#define K_ETIMEOUT (-5) /* time limit reached */
#define K_EABORT (-6) /* call left because the thread was aborted */
#define K_EFULL (-7) /* queue or table full */
#define K_ETOOMUCH (-8) /* message body or request too large, too many saved messages */
#define K_EBUSY (-9) /* already connected, already being deleted, name in use */
#define K_ENOMEM (-10) /* out of kernel resources or memory */
#define K_EPRIV (-11) /* caller lacks the privilege */
#define K_ELINKFAILURE (-12) /* link with the remote site broke during a call; whether it was executed is unknown */
#define K_EOVERLAP (-13) /* region would overlap an existing one */
#define K_EADDR (-14) /* address not mapped or out of the space's range */
#define K_EROUND (-15) /* address or offset not page aligned */
#define K_ESIZE (-16) /* zero or out-of-range size */
#define K_EPROT (-17) /* protection forbids the access */
#define K_ESPACE (-18) /* no free address range of that size */
#define K_EOFFSET (-19) /* offset outside the segment */
#define K_EMAPPER (-20) /* mapper unreachable, died, or answered nonsense */
#define K_ENOTIMP (-21) /* optional call not configured */

/* Structures. */
typedef struct KnUniqueId {
    unsigned int ui_head;
    unsigned int ui_tail;
} KnUniqueId;
_Static_assert(__builtin_offsetof(KnUniqueId, ui_head) == 0, "KnUniqueId.ui_head");
_Static_assert(__builtin_offsetof(KnUniqueId, ui_tail) == 4, "KnUniqueId.ui_tail");
_Static_assert(sizeof(KnUniqueId) == 8, "KnUniqueId");

typedef struct KnCap {
    KnUniqueId ui;
    unsigned long key;
} KnCap;
_Static_assert(__builtin_offsetof(KnCap, ui) == 0, "KnCap.ui");
_Static_assert(__builtin_offsetof(KnCap, key) == 8, "KnCap.key");
_Static_assert(sizeof(KnCap) == 16, "KnCap");

typedef struct KnProtId {
    unsigned short uid;
    unsigned short gid;
    unsigned short did;
    unsigned short pad;
} KnProtId;
_Static_assert(__builtin_offsetof(KnProtId, uid) == 0, "KnProtId.uid");
_Static_assert(__builtin_offsetof(KnProtId, gid) == 2, "KnProtId.gid");
_Static_assert(__builtin_offsetof(KnProtId, did) == 4, "KnProtId.did");
_Static_assert(__builtin_offsetof(KnProtId, pad) == 6, "KnProtId.pad");
_Static_assert(sizeof(KnProtId) == 8, "KnProtId");

typedef struct KnTimeVal {
    unsigned long tm_sec;
    unsigned int tm_nsec;
    unsigned int pad;
} KnTimeVal;
_Static_assert(__builtin_offsetof(KnTimeVal, tm_sec) == 0, "KnTimeVal.tm_sec");
_Static_assert(__builtin_offsetof(KnTimeVal, tm_nsec) == 8, "KnTimeVal.tm_nsec");
_Static_assert(__builtin_offsetof(KnTimeVal, pad) == 12, "KnTimeVal.pad");
_Static_assert(sizeof(KnTimeVal) == 16, "KnTimeVal");

typedef struct KnMsgDesc {
    unsigned int flags;
    unsigned int body_size;
    unsigned long body_addr;
    unsigned long annex_addr;
    unsigned int seq_num;
    unsigned int pad;
} KnMsgDesc;
_Static_assert(__builtin_offsetof(KnMsgDesc, flags) == 0, "KnMsgDesc.flags");
_Static_assert(__builtin_offsetof(KnMsgDesc, body_size) == 4, "KnMsgDesc.body_size");
_Static_assert(__builtin_offsetof(KnMsgDesc, body_addr) == 8, "KnMsgDesc.body_addr");
_Static_assert(__builtin_offsetof(KnMsgDesc, annex_addr) == 16, "KnMsgDesc.annex_addr");
_Static_assert(__builtin_offsetof(KnMsgDesc, seq_num) == 24, "KnMsgDesc.seq_num");
_Static_assert(__builtin_offsetof(KnMsgDesc, pad) == 28, "KnMsgDesc.pad");
_Static_assert(sizeof(KnMsgDesc) == 32, "KnMsgDesc");

typedef struct KnIpcDest {
    KnUniqueId target;
    KnUniqueId co_target;
} KnIpcDest;
_Static_assert(__builtin_offsetof(KnIpcDest, target) == 0, "KnIpcDest.target");
_Static_assert(__builtin_offsetof(KnIpcDest, co_target) == 8, "KnIpcDest.co_target");
_Static_assert(sizeof(KnIpcDest) == 16, "KnIpcDest");

typedef struct KnMsgHead {
    unsigned int body_size;
    unsigned char flags[4];
    KnUniqueId src_port;
    KnUniqueId target;
    KnUniqueId co_target;
    unsigned long trans_id;
    KnProtId actor_id;
    KnProtId port_id;
} KnMsgHead;
_Static_assert(__builtin_offsetof(KnMsgHead, body_size) == 0, "KnMsgHead.body_size");
_Static_assert(__builtin_offsetof(KnMsgHead, flags) == 4, "KnMsgHead.flags");
_Static_assert(__builtin_offsetof(KnMsgHead, src_port) == 8, "KnMsgHead.src_port");
_Static_assert(__builtin_offsetof(KnMsgHead, target) == 16, "KnMsgHead.target");
_Static_assert(__builtin_offsetof(KnMsgHead, co_target) == 24, "KnMsgHead.co_target");
_Static_assert(__builtin_offsetof(KnMsgHead, trans_id) == 32, "KnMsgHead.trans_id");
_Static_assert(__builtin_offsetof(KnMsgHead, actor_id) == 40, "KnMsgHead.actor_id");
_Static_assert(__builtin_offsetof(KnMsgHead, port_id) == 48, "KnMsgHead.port_id");
_Static_assert(sizeof(KnMsgHead) == 56, "KnMsgHead");

typedef struct KnRgnDesc {
    unsigned long start_addr;
    unsigned long size;
    unsigned int options;
    unsigned int pad;
    unsigned long end_addr;
    unsigned long opaque1;
    unsigned long opaque2;
} KnRgnDesc;
_Static_assert(__builtin_offsetof(KnRgnDesc, start_addr) == 0, "KnRgnDesc.start_addr");
_Static_assert(__builtin_offsetof(KnRgnDesc, size) == 8, "KnRgnDesc.size");
_Static_assert(__builtin_offsetof(KnRgnDesc, options) == 16, "KnRgnDesc.options");
_Static_assert(__builtin_offsetof(KnRgnDesc, pad) == 20, "KnRgnDesc.pad");
_Static_assert(__builtin_offsetof(KnRgnDesc, end_addr) == 24, "KnRgnDesc.end_addr");
_Static_assert(__builtin_offsetof(KnRgnDesc, opaque1) == 32, "KnRgnDesc.opaque1");
_Static_assert(__builtin_offsetof(KnRgnDesc, opaque2) == 40, "KnRgnDesc.opaque2");
_Static_assert(sizeof(KnRgnDesc) == 48, "KnRgnDesc");

typedef struct KnRgnStat {
    unsigned long start_addr;
    unsigned long size;
    unsigned int options;
    unsigned int pad;
    unsigned long opaque1;
    unsigned long opaque2;
    unsigned long resident;
    unsigned long fixed;
    KnCap segment;
    unsigned long offset;
} KnRgnStat;
_Static_assert(__builtin_offsetof(KnRgnStat, start_addr) == 0, "KnRgnStat.start_addr");
_Static_assert(__builtin_offsetof(KnRgnStat, size) == 8, "KnRgnStat.size");
_Static_assert(__builtin_offsetof(KnRgnStat, options) == 16, "KnRgnStat.options");
_Static_assert(__builtin_offsetof(KnRgnStat, pad) == 20, "KnRgnStat.pad");
_Static_assert(__builtin_offsetof(KnRgnStat, opaque1) == 24, "KnRgnStat.opaque1");
_Static_assert(__builtin_offsetof(KnRgnStat, opaque2) == 32, "KnRgnStat.opaque2");
_Static_assert(__builtin_offsetof(KnRgnStat, resident) == 40, "KnRgnStat.resident");
_Static_assert(__builtin_offsetof(KnRgnStat, fixed) == 48, "KnRgnStat.fixed");
_Static_assert(__builtin_offsetof(KnRgnStat, segment) == 56, "KnRgnStat.segment");
_Static_assert(__builtin_offsetof(KnRgnStat, offset) == 72, "KnRgnStat.offset");
_Static_assert(sizeof(KnRgnStat) == 80, "KnRgnStat");

typedef struct KnObjDesc {
    KnCap data_object;
    unsigned long start_offset;
    unsigned long size;
} KnObjDesc;
_Static_assert(__builtin_offsetof(KnObjDesc, data_object) == 0, "KnObjDesc.data_object");
_Static_assert(__builtin_offsetof(KnObjDesc, start_offset) == 16, "KnObjDesc.start_offset");
_Static_assert(__builtin_offsetof(KnObjDesc, size) == 24, "KnObjDesc.size");
_Static_assert(sizeof(KnObjDesc) == 32, "KnObjDesc");

typedef struct KnLcStat {
    KnCap segment;
    KnCap cache;
    unsigned long allocated;
    unsigned long fixed;
    unsigned long dirty;
} KnLcStat;
_Static_assert(__builtin_offsetof(KnLcStat, segment) == 0, "KnLcStat.segment");
_Static_assert(__builtin_offsetof(KnLcStat, cache) == 16, "KnLcStat.cache");
_Static_assert(__builtin_offsetof(KnLcStat, allocated) == 32, "KnLcStat.allocated");
_Static_assert(__builtin_offsetof(KnLcStat, fixed) == 40, "KnLcStat.fixed");
_Static_assert(__builtin_offsetof(KnLcStat, dirty) == 48, "KnLcStat.dirty");
_Static_assert(sizeof(KnLcStat) == 56, "KnLcStat");

typedef struct KnMpRequest {
    int service;
    unsigned int access;
    unsigned long seg_key;
    KnCap lc_cap;
    unsigned long offset;
    unsigned long size;
    unsigned long required_offset;
    unsigned long id;
} KnMpRequest;
_Static_assert(__builtin_offsetof(KnMpRequest, service) == 0, "KnMpRequest.service");
_Static_assert(__builtin_offsetof(KnMpRequest, access) == 4, "KnMpRequest.access");
_Static_assert(__builtin_offsetof(KnMpRequest, seg_key) == 8, "KnMpRequest.seg_key");
_Static_assert(__builtin_offsetof(KnMpRequest, lc_cap) == 16, "KnMpRequest.lc_cap");
_Static_assert(__builtin_offsetof(KnMpRequest, offset) == 32, "KnMpRequest.offset");
_Static_assert(__builtin_offsetof(KnMpRequest, size) == 40, "KnMpRequest.size");
_Static_assert(__builtin_offsetof(KnMpRequest, required_offset) == 48, "KnMpRequest.required_offset");
_Static_assert(__builtin_offsetof(KnMpRequest, id) == 56, "KnMpRequest.id");
_Static_assert(sizeof(KnMpRequest) == 64, "KnMpRequest");

typedef struct KnMpReply {
    int diag;
    unsigned int access;
    unsigned long offset;
    unsigned long size;
    unsigned int in_cluster;
    unsigned int release;
    unsigned long pad[4];
} KnMpReply;
_Static_assert(__builtin_offsetof(KnMpReply, diag) == 0, "KnMpReply.diag");
_Static_assert(__builtin_offsetof(KnMpReply, access) == 4, "KnMpReply.access");
_Static_assert(__builtin_offsetof(KnMpReply, offset) == 8, "KnMpReply.offset");
_Static_assert(__builtin_offsetof(KnMpReply, size) == 16, "KnMpReply.size");
_Static_assert(__builtin_offsetof(KnMpReply, in_cluster) == 24, "KnMpReply.in_cluster");
_Static_assert(__builtin_offsetof(KnMpReply, release) == 28, "KnMpReply.release");
_Static_assert(__builtin_offsetof(KnMpReply, pad) == 32, "KnMpReply.pad");
_Static_assert(sizeof(KnMpReply) == 64, "KnMpReply");

typedef struct KnMpCreateReply {
    int diag;
    unsigned int options;
    KnCap seg_cap;
    unsigned long pad[5];
} KnMpCreateReply;
_Static_assert(__builtin_offsetof(KnMpCreateReply, diag) == 0, "KnMpCreateReply.diag");
_Static_assert(__builtin_offsetof(KnMpCreateReply, options) == 4, "KnMpCreateReply.options");
_Static_assert(__builtin_offsetof(KnMpCreateReply, seg_cap) == 8, "KnMpCreateReply.seg_cap");
_Static_assert(__builtin_offsetof(KnMpCreateReply, pad) == 24, "KnMpCreateReply.pad");
_Static_assert(sizeof(KnMpCreateReply) == 64, "KnMpCreateReply");

typedef struct KnMutex {
    unsigned int locked;
    unsigned int waiters;
} KnMutex;
_Static_assert(__builtin_offsetof(KnMutex, locked) == 0, "KnMutex.locked");
_Static_assert(__builtin_offsetof(KnMutex, waiters) == 4, "KnMutex.waiters");
_Static_assert(sizeof(KnMutex) == 8, "KnMutex");

typedef struct KnSem {
    int count;
    unsigned int pad;
} KnSem;
_Static_assert(__builtin_offsetof(KnSem, count) == 0, "KnSem.count");
_Static_assert(__builtin_offsetof(KnSem, pad) == 4, "KnSem.pad");
_Static_assert(sizeof(KnSem) == 8, "KnSem");

typedef struct KnThSem {
    int owner;
    unsigned int posted;
} KnThSem;
_Static_assert(__builtin_offsetof(KnThSem, owner) == 0, "KnThSem.owner");
_Static_assert(__builtin_offsetof(KnThSem, posted) == 4, "KnThSem.posted");
_Static_assert(sizeof(KnThSem) == 8, "KnThSem");

typedef struct KnEventSet {
    unsigned int flags;
    unsigned int pad;
} KnEventSet;
_Static_assert(__builtin_offsetof(KnEventSet, flags) == 0, "KnEventSet.flags");
_Static_assert(__builtin_offsetof(KnEventSet, pad) == 4, "KnEventSet.pad");
_Static_assert(sizeof(KnEventSet) == 8, "KnEventSet");

typedef struct KnRtMutex {
    int owner;
    unsigned int pad;
    unsigned long seal;
} KnRtMutex;
_Static_assert(__builtin_offsetof(KnRtMutex, owner) == 0, "KnRtMutex.owner");
_Static_assert(__builtin_offsetof(KnRtMutex, pad) == 4, "KnRtMutex.pad");
_Static_assert(__builtin_offsetof(KnRtMutex, seal) == 8, "KnRtMutex.seal");
_Static_assert(sizeof(KnRtMutex) == 16, "KnRtMutex");

typedef struct KnThreadPool {
    unsigned int mark;
    unsigned int pad;
} KnThreadPool;
_Static_assert(__builtin_offsetof(KnThreadPool, mark) == 0, "KnThreadPool.mark");
_Static_assert(__builtin_offsetof(KnThreadPool, pad) == 4, "KnThreadPool.pad");
_Static_assert(sizeof(KnThreadPool) == 8, "KnThreadPool");

typedef struct KnITimer {
    KnTimeVal it_interval;
    KnTimeVal it_value;
} KnITimer;
_Static_assert(__builtin_offsetof(KnITimer, it_interval) == 0, "KnITimer.it_interval");
_Static_assert(__builtin_offsetof(KnITimer, it_value) == 16, "KnITimer.it_value");
_Static_assert(sizeof(KnITimer) == 32, "KnITimer");

typedef struct KnThParms {
    int th_class;
    int th_priority;
    KnTimeVal th_quantum;
} KnThParms;
_Static_assert(__builtin_offsetof(KnThParms, th_class) == 0, "KnThParms.th_class");
_Static_assert(__builtin_offsetof(KnThParms, th_priority) == 4, "KnThParms.th_priority");
_Static_assert(__builtin_offsetof(KnThParms, th_quantum) == 8, "KnThParms.th_quantum");
_Static_assert(sizeof(KnThParms) == 24, "KnThParms");

typedef struct KnThreadCtx {
    unsigned long rax;
    unsigned long rbx;
    unsigned long rcx;
    unsigned long rdx;
    unsigned long rsi;
    unsigned long rdi;
    unsigned long rbp;
    unsigned long rsp;
    unsigned long r8;
    unsigned long r9;
    unsigned long r10;
    unsigned long r11;
    unsigned long r12;
    unsigned long r13;
    unsigned long r14;
    unsigned long r15;
    unsigned long rip;
    unsigned long rflags;
    unsigned long fs_base;
    unsigned long gs_base;
    unsigned long fpu_area;
    unsigned long in_call;
} KnThreadCtx;
_Static_assert(__builtin_offsetof(KnThreadCtx, rax) == 0, "KnThreadCtx.rax");
_Static_assert(__builtin_offsetof(KnThreadCtx, rbx) == 8, "KnThreadCtx.rbx");
_Static_assert(__builtin_offsetof(KnThreadCtx, rcx) == 16, "KnThreadCtx.rcx");
_Static_assert(__builtin_offsetof(KnThreadCtx, rdx) == 24, "KnThreadCtx.rdx");
_Static_assert(__builtin_offsetof(KnThreadCtx, rsi) == 32, "KnThreadCtx.rsi");
_Static_assert(__builtin_offsetof(KnThreadCtx, rdi) == 40, "KnThreadCtx.rdi");
_Static_assert(__builtin_offsetof(KnThreadCtx, rbp) == 48, "KnThreadCtx.rbp");
_Static_assert(__builtin_offsetof(KnThreadCtx, rsp) == 56, "KnThreadCtx.rsp");
_Static_assert(__builtin_offsetof(KnThreadCtx, r8) == 64, "KnThreadCtx.r8");
_Static_assert(__builtin_offsetof(KnThreadCtx, r9) == 72, "KnThreadCtx.r9");
_Static_assert(__builtin_offsetof(KnThreadCtx, r10) == 80, "KnThreadCtx.r10");
_Static_assert(__builtin_offsetof(KnThreadCtx, r11) == 88, "KnThreadCtx.r11");
_Static_assert(__builtin_offsetof(KnThreadCtx, r12) == 96, "KnThreadCtx.r12");
_Static_assert(__builtin_offsetof(KnThreadCtx, r13) == 104, "KnThreadCtx.r13");
_Static_assert(__builtin_offsetof(KnThreadCtx, r14) == 112, "KnThreadCtx.r14");
_Static_assert(__builtin_offsetof(KnThreadCtx, r15) == 120, "KnThreadCtx.r15");
_Static_assert(__builtin_offsetof(KnThreadCtx, rip) == 128, "KnThreadCtx.rip");
_Static_assert(__builtin_offsetof(KnThreadCtx, rflags) == 136, "KnThreadCtx.rflags");
_Static_assert(__builtin_offsetof(KnThreadCtx, fs_base) == 144, "KnThreadCtx.fs_base");
_Static_assert(__builtin_offsetof(KnThreadCtx, gs_base) == 152, "KnThreadCtx.gs_base");
_Static_assert(__builtin_offsetof(KnThreadCtx, fpu_area) == 160, "KnThreadCtx.fpu_area");
_Static_assert(__builtin_offsetof(KnThreadCtx, in_call) == 168, "KnThreadCtx.in_call");
_Static_assert(sizeof(KnThreadCtx) == 176, "KnThreadCtx");

typedef struct KnActorStat {
    KnCap cap;
    int kind;
    int stopped;
    int priority;
    unsigned int threads;
    unsigned int ports;
    unsigned int pages;
    unsigned char name[16];
    unsigned long base;
} KnActorStat;
_Static_assert(__builtin_offsetof(KnActorStat, cap) == 0, "KnActorStat.cap");
_Static_assert(__builtin_offsetof(KnActorStat, kind) == 16, "KnActorStat.kind");
_Static_assert(__builtin_offsetof(KnActorStat, stopped) == 20, "KnActorStat.stopped");
_Static_assert(__builtin_offsetof(KnActorStat, priority) == 24, "KnActorStat.priority");
_Static_assert(__builtin_offsetof(KnActorStat, threads) == 28, "KnActorStat.threads");
_Static_assert(__builtin_offsetof(KnActorStat, ports) == 32, "KnActorStat.ports");
_Static_assert(__builtin_offsetof(KnActorStat, pages) == 36, "KnActorStat.pages");
_Static_assert(__builtin_offsetof(KnActorStat, name) == 40, "KnActorStat.name");
_Static_assert(__builtin_offsetof(KnActorStat, base) == 56, "KnActorStat.base");
_Static_assert(sizeof(KnActorStat) == 64, "KnActorStat");

typedef struct KnThreadStat {
    int li;
    int privilege;
    unsigned int state;
    unsigned int suspended;
    int relative;
    int absolute;
    unsigned int cpu;
    unsigned int pad;
    unsigned long cpu_time_ns;
} KnThreadStat;
_Static_assert(__builtin_offsetof(KnThreadStat, li) == 0, "KnThreadStat.li");
_Static_assert(__builtin_offsetof(KnThreadStat, privilege) == 4, "KnThreadStat.privilege");
_Static_assert(__builtin_offsetof(KnThreadStat, state) == 8, "KnThreadStat.state");
_Static_assert(__builtin_offsetof(KnThreadStat, suspended) == 12, "KnThreadStat.suspended");
_Static_assert(__builtin_offsetof(KnThreadStat, relative) == 16, "KnThreadStat.relative");
_Static_assert(__builtin_offsetof(KnThreadStat, absolute) == 20, "KnThreadStat.absolute");
_Static_assert(__builtin_offsetof(KnThreadStat, cpu) == 24, "KnThreadStat.cpu");
_Static_assert(__builtin_offsetof(KnThreadStat, pad) == 28, "KnThreadStat.pad");
_Static_assert(__builtin_offsetof(KnThreadStat, cpu_time_ns) == 32, "KnThreadStat.cpu_time_ns");
_Static_assert(sizeof(KnThreadStat) == 40, "KnThreadStat");

typedef struct KnVmStat {
    unsigned long total;
    unsigned long free;
    unsigned long fixed;
    unsigned long outside;
    unsigned long segments;
    unsigned long pages_out;
    unsigned long pages_in;
} KnVmStat;
_Static_assert(__builtin_offsetof(KnVmStat, total) == 0, "KnVmStat.total");
_Static_assert(__builtin_offsetof(KnVmStat, free) == 8, "KnVmStat.free");
_Static_assert(__builtin_offsetof(KnVmStat, fixed) == 16, "KnVmStat.fixed");
_Static_assert(__builtin_offsetof(KnVmStat, outside) == 24, "KnVmStat.outside");
_Static_assert(__builtin_offsetof(KnVmStat, segments) == 32, "KnVmStat.segments");
_Static_assert(__builtin_offsetof(KnVmStat, pages_out) == 40, "KnVmStat.pages_out");
_Static_assert(__builtin_offsetof(KnVmStat, pages_in) == 48, "KnVmStat.pages_in");
_Static_assert(sizeof(KnVmStat) == 56, "KnVmStat");

typedef struct KnLoadDesc {
    unsigned long image;
    unsigned long image_size;
    unsigned long args;
    unsigned int args_size;
    int priority;
    unsigned int stack_size;
    unsigned int diag;
    unsigned long detail;
    unsigned long base;
} KnLoadDesc;
_Static_assert(__builtin_offsetof(KnLoadDesc, image) == 0, "KnLoadDesc.image");
_Static_assert(__builtin_offsetof(KnLoadDesc, image_size) == 8, "KnLoadDesc.image_size");
_Static_assert(__builtin_offsetof(KnLoadDesc, args) == 16, "KnLoadDesc.args");
_Static_assert(__builtin_offsetof(KnLoadDesc, args_size) == 24, "KnLoadDesc.args_size");
_Static_assert(__builtin_offsetof(KnLoadDesc, priority) == 28, "KnLoadDesc.priority");
_Static_assert(__builtin_offsetof(KnLoadDesc, stack_size) == 32, "KnLoadDesc.stack_size");
_Static_assert(__builtin_offsetof(KnLoadDesc, diag) == 36, "KnLoadDesc.diag");
_Static_assert(__builtin_offsetof(KnLoadDesc, detail) == 40, "KnLoadDesc.detail");
_Static_assert(__builtin_offsetof(KnLoadDesc, base) == 48, "KnLoadDesc.base");
_Static_assert(sizeof(KnLoadDesc) == 56, "KnLoadDesc");

typedef struct KnDevDesc {
    unsigned long base;
    unsigned long size;
    unsigned int irq;
    unsigned int device_id;
} KnDevDesc;
_Static_assert(__builtin_offsetof(KnDevDesc, base) == 0, "KnDevDesc.base");
_Static_assert(__builtin_offsetof(KnDevDesc, size) == 8, "KnDevDesc.size");
_Static_assert(__builtin_offsetof(KnDevDesc, irq) == 16, "KnDevDesc.irq");
_Static_assert(__builtin_offsetof(KnDevDesc, device_id) == 20, "KnDevDesc.device_id");
_Static_assert(sizeof(KnDevDesc) == 24, "KnDevDesc");

typedef struct KnExcReport {
    int service;
    int exc_no;
    KnCap actor_cap;
    int thread_li;
    int flags;
    unsigned long pc;
    unsigned long fault_addr;
    int diag;
    int pad;
} KnExcReport;
_Static_assert(__builtin_offsetof(KnExcReport, service) == 0, "KnExcReport.service");
_Static_assert(__builtin_offsetof(KnExcReport, exc_no) == 4, "KnExcReport.exc_no");
_Static_assert(__builtin_offsetof(KnExcReport, actor_cap) == 8, "KnExcReport.actor_cap");
_Static_assert(__builtin_offsetof(KnExcReport, thread_li) == 24, "KnExcReport.thread_li");
_Static_assert(__builtin_offsetof(KnExcReport, flags) == 28, "KnExcReport.flags");
_Static_assert(__builtin_offsetof(KnExcReport, pc) == 32, "KnExcReport.pc");
_Static_assert(__builtin_offsetof(KnExcReport, fault_addr) == 40, "KnExcReport.fault_addr");
_Static_assert(__builtin_offsetof(KnExcReport, diag) == 48, "KnExcReport.diag");
_Static_assert(__builtin_offsetof(KnExcReport, pad) == 52, "KnExcReport.pad");
_Static_assert(sizeof(KnExcReport) == 56, "KnExcReport");

typedef struct KnExcVerdict {
    int verdict;
} KnExcVerdict;
_Static_assert(__builtin_offsetof(KnExcVerdict, verdict) == 0, "KnExcVerdict.verdict");
_Static_assert(sizeof(KnExcVerdict) == 4, "KnExcVerdict");

typedef struct KnLapDesc {
    unsigned long lap;
    unsigned long key;
} KnLapDesc;
_Static_assert(__builtin_offsetof(KnLapDesc, lap) == 0, "KnLapDesc.lap");
_Static_assert(__builtin_offsetof(KnLapDesc, key) == 8, "KnLapDesc.key");
_Static_assert(sizeof(KnLapDesc) == 16, "KnLapDesc");

typedef struct KnSysTrapDesc {
    unsigned long thread_ctx;
    unsigned int trap_number;
    unsigned int pad;
} KnSysTrapDesc;
_Static_assert(__builtin_offsetof(KnSysTrapDesc, thread_ctx) == 0, "KnSysTrapDesc.thread_ctx");
_Static_assert(__builtin_offsetof(KnSysTrapDesc, trap_number) == 8, "KnSysTrapDesc.trap_number");
_Static_assert(__builtin_offsetof(KnSysTrapDesc, pad) == 12, "KnSysTrapDesc.pad");
_Static_assert(sizeof(KnSysTrapDesc) == 16, "KnSysTrapDesc");

typedef struct KnExcDesc {
    unsigned long thread_ctx;
    unsigned long info;
    int exc_no;
    int result;
} KnExcDesc;
_Static_assert(__builtin_offsetof(KnExcDesc, thread_ctx) == 0, "KnExcDesc.thread_ctx");
_Static_assert(__builtin_offsetof(KnExcDesc, info) == 8, "KnExcDesc.info");
_Static_assert(__builtin_offsetof(KnExcDesc, exc_no) == 16, "KnExcDesc.exc_no");
_Static_assert(__builtin_offsetof(KnExcDesc, result) == 20, "KnExcDesc.result");
_Static_assert(sizeof(KnExcDesc) == 24, "KnExcDesc");

typedef struct KnIntrOps {
    unsigned long mask;
    unsigned long unmask;
} KnIntrOps;
_Static_assert(__builtin_offsetof(KnIntrOps, mask) == 0, "KnIntrOps.mask");
_Static_assert(__builtin_offsetof(KnIntrOps, unmask) == 8, "KnIntrOps.unmask");
_Static_assert(sizeof(KnIntrOps) == 16, "KnIntrOps");

typedef struct KnSoftIntr {
    unsigned long handler;
    unsigned long cookie;
    unsigned long id;
} KnSoftIntr;
_Static_assert(__builtin_offsetof(KnSoftIntr, handler) == 0, "KnSoftIntr.handler");
_Static_assert(__builtin_offsetof(KnSoftIntr, cookie) == 8, "KnSoftIntr.cookie");
_Static_assert(__builtin_offsetof(KnSoftIntr, id) == 16, "KnSoftIntr.id");
_Static_assert(sizeof(KnSoftIntr) == 24, "KnSoftIntr");

typedef struct KnTimeout {
    unsigned long id;
} KnTimeout;
_Static_assert(__builtin_offsetof(KnTimeout, id) == 0, "KnTimeout.id");
_Static_assert(sizeof(KnTimeout) == 8, "KnTimeout");

typedef struct KnSiteStat {
    unsigned int site;
    unsigned int epoch;
    unsigned int cpus;
    unsigned int actors;
    unsigned int threads;
    unsigned int ports;
    unsigned long calls;
    unsigned long switches;
    unsigned long messages;
    unsigned long faults;
    unsigned long exceptions;
    unsigned long idle_fixups;
    unsigned long delivered_twice;
    unsigned long timer_interrupts;
    unsigned long ipis;
    unsigned long uptime_ns;
    unsigned long copied;
    unsigned long longest_ns;
    unsigned int longest_in;
    unsigned int recent_in;
    unsigned long recent_ns;
} KnSiteStat;
_Static_assert(__builtin_offsetof(KnSiteStat, site) == 0, "KnSiteStat.site");
_Static_assert(__builtin_offsetof(KnSiteStat, epoch) == 4, "KnSiteStat.epoch");
_Static_assert(__builtin_offsetof(KnSiteStat, cpus) == 8, "KnSiteStat.cpus");
_Static_assert(__builtin_offsetof(KnSiteStat, actors) == 12, "KnSiteStat.actors");
_Static_assert(__builtin_offsetof(KnSiteStat, threads) == 16, "KnSiteStat.threads");
_Static_assert(__builtin_offsetof(KnSiteStat, ports) == 20, "KnSiteStat.ports");
_Static_assert(__builtin_offsetof(KnSiteStat, calls) == 24, "KnSiteStat.calls");
_Static_assert(__builtin_offsetof(KnSiteStat, switches) == 32, "KnSiteStat.switches");
_Static_assert(__builtin_offsetof(KnSiteStat, messages) == 40, "KnSiteStat.messages");
_Static_assert(__builtin_offsetof(KnSiteStat, faults) == 48, "KnSiteStat.faults");
_Static_assert(__builtin_offsetof(KnSiteStat, exceptions) == 56, "KnSiteStat.exceptions");
_Static_assert(__builtin_offsetof(KnSiteStat, idle_fixups) == 64, "KnSiteStat.idle_fixups");
_Static_assert(__builtin_offsetof(KnSiteStat, delivered_twice) == 72, "KnSiteStat.delivered_twice");
_Static_assert(__builtin_offsetof(KnSiteStat, timer_interrupts) == 80, "KnSiteStat.timer_interrupts");
_Static_assert(__builtin_offsetof(KnSiteStat, ipis) == 88, "KnSiteStat.ipis");
_Static_assert(__builtin_offsetof(KnSiteStat, uptime_ns) == 96, "KnSiteStat.uptime_ns");
_Static_assert(__builtin_offsetof(KnSiteStat, copied) == 104, "KnSiteStat.copied");
_Static_assert(__builtin_offsetof(KnSiteStat, longest_ns) == 112, "KnSiteStat.longest_ns");
_Static_assert(__builtin_offsetof(KnSiteStat, longest_in) == 120, "KnSiteStat.longest_in");
_Static_assert(__builtin_offsetof(KnSiteStat, recent_in) == 124, "KnSiteStat.recent_in");
_Static_assert(__builtin_offsetof(KnSiteStat, recent_ns) == 128, "KnSiteStat.recent_ns");
_Static_assert(sizeof(KnSiteStat) == 136, "KnSiteStat");

typedef struct ConsoleRequest {
    unsigned int service;
    unsigned int stream;
    KnUniqueId actor;
    unsigned char name[16];
    unsigned int room;
    unsigned int site;
} ConsoleRequest;
_Static_assert(__builtin_offsetof(ConsoleRequest, service) == 0, "ConsoleRequest.service");
_Static_assert(__builtin_offsetof(ConsoleRequest, stream) == 4, "ConsoleRequest.stream");
_Static_assert(__builtin_offsetof(ConsoleRequest, actor) == 8, "ConsoleRequest.actor");
_Static_assert(__builtin_offsetof(ConsoleRequest, name) == 16, "ConsoleRequest.name");
_Static_assert(__builtin_offsetof(ConsoleRequest, room) == 32, "ConsoleRequest.room");
_Static_assert(__builtin_offsetof(ConsoleRequest, site) == 36, "ConsoleRequest.site");
_Static_assert(sizeof(ConsoleRequest) == 40, "ConsoleRequest");

typedef struct FileRequest {
    unsigned int service;
    unsigned int size;
    unsigned long key;
    unsigned long offset;
} FileRequest;
_Static_assert(__builtin_offsetof(FileRequest, service) == 0, "FileRequest.service");
_Static_assert(__builtin_offsetof(FileRequest, size) == 4, "FileRequest.size");
_Static_assert(__builtin_offsetof(FileRequest, key) == 8, "FileRequest.key");
_Static_assert(__builtin_offsetof(FileRequest, offset) == 16, "FileRequest.offset");
_Static_assert(sizeof(FileRequest) == 24, "FileRequest");

typedef struct PageRequest {
    unsigned int service;
    unsigned int pad;
    unsigned long key;
    unsigned long offset;
} PageRequest;
_Static_assert(__builtin_offsetof(PageRequest, service) == 0, "PageRequest.service");
_Static_assert(__builtin_offsetof(PageRequest, pad) == 4, "PageRequest.pad");
_Static_assert(__builtin_offsetof(PageRequest, key) == 8, "PageRequest.key");
_Static_assert(__builtin_offsetof(PageRequest, offset) == 16, "PageRequest.offset");
_Static_assert(sizeof(PageRequest) == 24, "PageRequest");

typedef struct ControlNotice {
    unsigned int service;
    unsigned int site;
    KnUniqueId actor;
    unsigned char name[16];
    unsigned int reason;
    int status;
    unsigned long pc;
    unsigned long address;
} ControlNotice;
_Static_assert(__builtin_offsetof(ControlNotice, service) == 0, "ControlNotice.service");
_Static_assert(__builtin_offsetof(ControlNotice, site) == 4, "ControlNotice.site");
_Static_assert(__builtin_offsetof(ControlNotice, actor) == 8, "ControlNotice.actor");
_Static_assert(__builtin_offsetof(ControlNotice, name) == 16, "ControlNotice.name");
_Static_assert(__builtin_offsetof(ControlNotice, reason) == 32, "ControlNotice.reason");
_Static_assert(__builtin_offsetof(ControlNotice, status) == 36, "ControlNotice.status");
_Static_assert(__builtin_offsetof(ControlNotice, pc) == 40, "ControlNotice.pc");
_Static_assert(__builtin_offsetof(ControlNotice, address) == 48, "ControlNotice.address");
_Static_assert(sizeof(ControlNotice) == 56, "ControlNotice");

typedef struct SiteRequest {
    unsigned int service;
    unsigned int what;
    KnUniqueId ui;
} SiteRequest;
_Static_assert(__builtin_offsetof(SiteRequest, service) == 0, "SiteRequest.service");
_Static_assert(__builtin_offsetof(SiteRequest, what) == 4, "SiteRequest.what");
_Static_assert(__builtin_offsetof(SiteRequest, ui) == 8, "SiteRequest.ui");
_Static_assert(sizeof(SiteRequest) == 16, "SiteRequest");

typedef struct StartRequest {
    unsigned int service;
    int kind;
    int priority;
    unsigned int size;
    KnCap image;
    KnUniqueId replaces;
} StartRequest;
_Static_assert(__builtin_offsetof(StartRequest, service) == 0, "StartRequest.service");
_Static_assert(__builtin_offsetof(StartRequest, kind) == 4, "StartRequest.kind");
_Static_assert(__builtin_offsetof(StartRequest, priority) == 8, "StartRequest.priority");
_Static_assert(__builtin_offsetof(StartRequest, size) == 12, "StartRequest.size");
_Static_assert(__builtin_offsetof(StartRequest, image) == 16, "StartRequest.image");
_Static_assert(__builtin_offsetof(StartRequest, replaces) == 32, "StartRequest.replaces");
_Static_assert(sizeof(StartRequest) == 40, "StartRequest");

typedef struct Answer {
    int result;
    unsigned int diag;
    unsigned long value;
    KnCap cap;
    unsigned long detail;
} Answer;
_Static_assert(__builtin_offsetof(Answer, result) == 0, "Answer.result");
_Static_assert(__builtin_offsetof(Answer, diag) == 4, "Answer.diag");
_Static_assert(__builtin_offsetof(Answer, value) == 8, "Answer.value");
_Static_assert(__builtin_offsetof(Answer, cap) == 16, "Answer.cap");
_Static_assert(__builtin_offsetof(Answer, detail) == 32, "Answer.detail");
_Static_assert(sizeof(Answer) == 40, "Answer");

typedef struct EndNotice {
    unsigned int service;
    unsigned int reason;
    KnUniqueId actor;
    unsigned char name[16];
    int status;
    int thread;
    unsigned long pc;
    unsigned long address;
} EndNotice;
_Static_assert(__builtin_offsetof(EndNotice, service) == 0, "EndNotice.service");
_Static_assert(__builtin_offsetof(EndNotice, reason) == 4, "EndNotice.reason");
_Static_assert(__builtin_offsetof(EndNotice, actor) == 8, "EndNotice.actor");
_Static_assert(__builtin_offsetof(EndNotice, name) == 16, "EndNotice.name");
_Static_assert(__builtin_offsetof(EndNotice, status) == 32, "EndNotice.status");
_Static_assert(__builtin_offsetof(EndNotice, thread) == 36, "EndNotice.thread");
_Static_assert(__builtin_offsetof(EndNotice, pc) == 40, "EndNotice.pc");
_Static_assert(__builtin_offsetof(EndNotice, address) == 48, "EndNotice.address");
_Static_assert(sizeof(EndNotice) == 56, "EndNotice");

/* An item between the Nucleus and the Network Manager: the business of those who write one, in Rust. */
typedef struct KnNetItem KnNetItem;
/* What the Network Manager learns of the cluster. */
typedef struct KnNetSeat KnNetSeat;

/* Calls. */
/* Does nothing and returns 0: the cost of a call by itself. Own addition. */
static inline int sysNull(void) { CHORUS_CALL("sysNull"); }
/* Makes an actor as child of `actor_init` (null: the caller's) and writes its capability. It has its default port, no thread and an empty space. NC-014…025. */
static inline int actorCreate(const KnCap *actor_init, KnCap *actor_cap, int kind, int status) { CHORUS_CALL("actorCreate", (unsigned long)actor_init, (unsigned long)actor_cap, (unsigned long)kind, (unsigned long)status); }
/* Removes an actor and everything it owns; with the null pointer the caller's own, and does not return. NC-026…033. */
static inline int actorDelete(const KnCap *actor_cap) { CHORUS_CALL("actorDelete", (unsigned long)actor_cap); }
/* Puts all threads of the actor in the STOPPED state. NC-034…040. */
static inline int actorStop(const KnCap *actor_cap) { CHORUS_CALL("actorStop", (unsigned long)actor_cap); }
/* Starts a stopped actor. NC-034…040. */
static inline int actorStart(const KnCap *actor_cap) { CHORUS_CALL("actorStart", (unsigned long)actor_cap); }
/* Reads and sets the actor's priority; a null pointer skips that half. All its threads move at once. NC-041…047. */
static inline int actorPriority(const KnCap *actor_cap, int *old_priority, const int *new_priority) { CHORUS_CALL("actorPriority", (unsigned long)actor_cap, (unsigned long)old_priority, (unsigned long)new_priority); }
/* Writes the capability of the caller's actor. */
static inline int actorSelf(KnCap *actor_cap) { CHORUS_CALL("actorSelf", (unsigned long)actor_cap); }
/* Reads and sets the name of an actor: 16 bytes, zero padded, at most 15 used. */
static inline int actorName(const KnCap *actor_cap, void *old_name, const void *new_name) { CHORUS_CALL("actorName", (unsigned long)actor_cap, (unsigned long)old_name, (unsigned long)new_name); }
/* Lists the actors of the site: returns how many there are, fills at most `room` entries. Keys are zero for unprivileged callers. */
static inline int actorStat(KnActorStat *list, int room) { CHORUS_CALL("actorStat", (unsigned long)list, (unsigned long)room); }
/* Ends the caller's actor with a status that its death notice carries (see `actorNotify`); does not return. Own addition. */
static inline int actorExit(int status) { CHORUS_CALL("actorExit", (unsigned long)status); }
/* Names the port that gets a message when the actor ends, with the status of `actorExit` or the exception that ended it. Null UI: none. Own addition. */
static inline int actorNotify(const KnCap *actor_cap, const KnUniqueId *port) { CHORUS_CALL("actorNotify", (unsigned long)actor_cap, (unsigned long)port); }
/* Loads an ELF image into an empty actor and starts its first thread; returns that thread's LI. The same image serves user and supervisor actors. Own addition. */
static inline int actorLoad(const KnCap *actor_cap, KnLoadDesc *load) { CHORUS_CALL("actorLoad", (unsigned long)actor_cap, (unsigned long)load); }
/* Reads and sets the protection identifier of an actor; a null pointer skips that half. Ports that it has keep theirs. NC-018. */
static inline int actorPi(const KnCap *actor_cap, KnProtId *old_pi, const KnProtId *new_pi) { CHORUS_CALL("actorPi", (unsigned long)actor_cap, (unsigned long)old_pi, (unsigned long)new_pi); }
/* Reads and sets the kind of an actor: user to system, or system to user. A null pointer skips that half. */
static inline int actorPrivilege(const KnCap *actor_cap, int *old_privilege, const int *new_privilege) { CHORUS_CALL("actorPrivilege", (unsigned long)actor_cap, (unsigned long)old_privilege, (unsigned long)new_privilege); }
/* Makes a thread with a relative priority, first instruction and stack; returns its LI. Its first argument register holds `stack_pointer`, which is all */
/* that it means to a supervisor thread: its stack is the Nucleus'. NC-053…059. */
static inline int threadCreate(const KnCap *actor_cap, int privilege, int status, int priority, unsigned long entry, unsigned long stack_pointer) { CHORUS_CALL("threadCreate", (unsigned long)actor_cap, (unsigned long)privilege, (unsigned long)status, (unsigned long)priority, (unsigned long)entry, (unsigned long)stack_pointer); }
/* Destroys a thread; LI 0 of the own actor ends the caller. NC-060…063. */
static inline int threadDelete(const KnCap *actor_cap, int thread_li) { CHORUS_CALL("threadDelete", (unsigned long)actor_cap, (unsigned long)thread_li); }
/* LI of the caller in its actor. */
static inline int threadSelf(void) { CHORUS_CALL("threadSelf"); }
/* Makes a thread created inactive eligible to run. NC-058. */
static inline int threadActivate(const KnCap *actor_cap, int thread_li) { CHORUS_CALL("threadActivate", (unsigned long)actor_cap, (unsigned long)thread_li); }
/* Adds one to the suspend counter; the thread executes no further user instruction. NC-064…068. */
static inline int threadSuspend(const KnCap *actor_cap, int thread_li) { CHORUS_CALL("threadSuspend", (unsigned long)actor_cap, (unsigned long)thread_li); }
/* Lowers the suspend counter, not below 0. NC-064…068. */
static inline int threadResume(const KnCap *actor_cap, int thread_li) { CHORUS_CALL("threadResume", (unsigned long)actor_cap, (unsigned long)thread_li); }
/* Ends the abortable wait of a thread with K_EABORT, or marks it ABORTED. NC-069…073. */
static inline int threadAbort(const KnCap *actor_cap, int thread_li) { CHORUS_CALL("threadAbort", (unsigned long)actor_cap, (unsigned long)thread_li); }
/* 1 and clears the mark if the caller is ABORTED, else 0. NC-071. */
static inline int threadAborted(void) { CHORUS_CALL("threadAborted"); }
/* Sleeps: null without limit, zero only yields. The normal end of a sleep is K_ETIMEOUT. NC-074…076. */
static inline int threadDelay(const KnTimeVal *wait_limit) { CHORUS_CALL("threadDelay", (unsigned long)wait_limit); }
/* Reads and sets a thread's priority relative to its actor; a null pointer skips that half. NC-041…047. */
static inline int threadPriority(const KnCap *actor_cap, int thread_li, int *old_priority, const int *new_priority) { CHORUS_CALL("threadPriority", (unsigned long)actor_cap, (unsigned long)thread_li, (unsigned long)old_priority, (unsigned long)new_priority); }
/* Describes the threads of an actor: returns how many there are, fills at most `room` entries. */
static inline int threadStat(const KnCap *actor_cap, KnThreadStat *list, int room) { CHORUS_CALL("threadStat", (unsigned long)actor_cap, (unsigned long)list, (unsigned long)room); }
/* Writes the caller's context pointer (software register). NC-077. */
static inline int threadLoad(unsigned long *context) { CHORUS_CALL("threadLoad", (unsigned long)context); }
/* Sets the caller's context pointer. NC-077. */
static inline int threadStore(unsigned long context) { CHORUS_CALL("threadStore", (unsigned long)context); }
/* Sets STOPPED on one thread, for debuggers; it executes no further instruction. */
static inline int threadStop(const KnCap *actor_cap, int thread_li) { CHORUS_CALL("threadStop", (unsigned long)actor_cap, (unsigned long)thread_li); }
/* Clears STOPPED of one thread, whoever set it. K_EINVAL when it is not stopped. */
static inline int threadStart(const KnCap *actor_cap, int thread_li) { CHORUS_CALL("threadStart", (unsigned long)actor_cap, (unsigned long)thread_li); }
/* Reads and sets the name of a thread, for debugging: 16 bytes, zero padded, at most 15 used. */
static inline int threadName(const KnCap *actor_cap, int thread_li, void *old_name, const void *new_name) { CHORUS_CALL("threadName", (unsigned long)actor_cap, (unsigned long)thread_li, (unsigned long)old_name, (unsigned long)new_name); }
/* Reads and sets a thread's scheduling class and its parameters; a null pointer skips that half. NC-263. */
static inline int threadScheduler(const KnCap *actor_cap, int thread_li, KnThParms *old_parameters, const KnThParms *new_parameters) { CHORUS_CALL("threadScheduler", (unsigned long)actor_cap, (unsigned long)thread_li, (unsigned long)old_parameters, (unsigned long)new_parameters); }
/* Reads the processor that a thread is tied to, and ties it to one; -1: to none. A null pointer skips that half. */
static inline int threadBind(const KnCap *actor_cap, int thread_li, int *old_cpu, const int *new_cpu) { CHORUS_CALL("threadBind", (unsigned long)actor_cap, (unsigned long)thread_li, (unsigned long)old_cpu, (unsigned long)new_cpu); }
/* Reads and sets the registers of a thread that is suspended, stopped or not yet activated; a null pointer skips that half. NC-078, NC-079. */
static inline int threadContext(const KnCap *actor_cap, int thread_li, KnThreadCtx *old_context, const KnThreadCtx *new_context) { CHORUS_CALL("threadContext", (unsigned long)actor_cap, (unsigned long)thread_li, (unsigned long)old_context, (unsigned long)new_context); }
/* Makes the mutex free. */
static inline int mutexInit(KnMutex *mutex) { CHORUS_CALL("mutexInit", (unsigned long)mutex); }
/* Locks, waiting while another has it; first come first served, not abortable. NC-080…083. */
static inline int mutexGet(KnMutex *mutex) { CHORUS_CALL("mutexGet", (unsigned long)mutex); }
/* Unlocks; the oldest waiter gets it directly. NC-080…083. */
static inline int mutexRel(KnMutex *mutex) { CHORUS_CALL("mutexRel", (unsigned long)mutex); }
/* Locks only if that needs no waiting: 0 acquired, 1 busy. NC-082. */
static inline int mutexTry(KnMutex *mutex) { CHORUS_CALL("mutexTry", (unsigned long)mutex); }
/* Sets the counter of a semaphore. */
static inline int semInit(KnSem *sem, unsigned int count) { CHORUS_CALL("semInit", (unsigned long)sem, (unsigned long)count); }
/* Takes a unit, waiting for it: null limit without end, zero not at all. NC-086…090. */
static inline int semP(KnSem *sem, const KnTimeVal *wait_limit) { CHORUS_CALL("semP", (unsigned long)sem, (unsigned long)wait_limit); }
/* Gives a unit; the longest waiting thread wakes. NC-086…090. */
static inline int semV(KnSem *sem) { CHORUS_CALL("semV", (unsigned long)sem); }
/* Makes an unposted binary semaphore that only the caller may wait on. NC-091, NC-092. */
static inline int threadSemInit(KnThSem *sem) { CHORUS_CALL("threadSemInit", (unsigned long)sem); }
/* Takes the post of the caller's thread semaphore, waiting for it: null limit without end, zero not at all. NC-091, NC-092. */
static inline int threadSemWait(KnThSem *sem, const KnTimeVal *wait_limit) { CHORUS_CALL("threadSemWait", (unsigned long)sem, (unsigned long)wait_limit); }
/* Posts a thread semaphore; its thread wakes if it waits. Repeated posts are one. NC-091. */
static inline int threadSemPost(KnThSem *sem) { CHORUS_CALL("threadSemPost", (unsigned long)sem); }
/* Makes a set of 32 event flags, none posted. NC-093…096. */
static inline int eventInit(KnEventSet *set) { CHORUS_CALL("eventInit", (unsigned long)set); }
/* Posts flags; every thread whose wait they satisfy wakes. NC-093…096. */
static inline int eventPost(KnEventSet *set, unsigned int mask) { CHORUS_CALL("eventPost", (unsigned long)set, (unsigned long)mask); }
/* Unposts flags. NC-096. */
static inline int eventClear(KnEventSet *set, unsigned int mask) { CHORUS_CALL("eventClear", (unsigned long)set, (unsigned long)mask); }
/* Waits until all (K_EVENT_AND) or one (K_EVENT_OR) of the flags are posted, and writes which are; they stay posted. NC-093…096. */
static inline int eventWait(KnEventSet *set, unsigned int mask, int mode, unsigned int *got, const KnTimeVal *wait_limit) { CHORUS_CALL("eventWait", (unsigned long)set, (unsigned long)mask, (unsigned long)mode, (unsigned long)got, (unsigned long)wait_limit); }
/* Makes a free real-time mutex. */
static inline int rtMutexInit(KnRtMutex *mutex) { CHORUS_CALL("rtMutexInit", (unsigned long)mutex); }
/* Locks with priority inheritance: the owner runs at the best priority of those who wait for it, also through others. NC-084, NC-085. */
static inline int rtMutexGet(KnRtMutex *mutex) { CHORUS_CALL("rtMutexGet", (unsigned long)mutex); }
/* Unlocks; the most urgent waiter gets it, and the caller falls back to its own priority. NC-084, NC-085. */
static inline int rtMutexRel(KnRtMutex *mutex) { CHORUS_CALL("rtMutexRel", (unsigned long)mutex); }
/* Locks only if that needs no waiting: 0 acquired, 1 busy. */
static inline int rtMutexTry(KnRtMutex *mutex) { CHORUS_CALL("rtMutexTry", (unsigned long)mutex); }
/* Makes a port of the actor, disabled, with an empty queue; writes its UI and returns its LI. NC-097…099. */
static inline int portCreate(const KnCap *actor_cap, KnUniqueId *port_ui) { CHORUS_CALL("portCreate", (unsigned long)actor_cap, (unsigned long)port_ui); }
/* As `portCreate` with a static UI made by `uiBuild`. NC-107…109. */
static inline int portDeclare(const KnCap *actor_cap, const KnUniqueId *port_ui) { CHORUS_CALL("portDeclare", (unsigned long)actor_cap, (unsigned long)port_ui); }
/* Destroys a port: queued messages are lost, queued requests and waiters end with K_ENOPORT. NC-100…106. */
static inline int portDelete(const KnCap *actor_cap, int port_li) { CHORUS_CALL("portDelete", (unsigned long)actor_cap, (unsigned long)port_li); }
/* Adds the port to the actor's enabled set; low priority numbers are served first. NC-110…115. */
static inline int portEnable(const KnCap *actor_cap, int port_li, int priority) { CHORUS_CALL("portEnable", (unsigned long)actor_cap, (unsigned long)port_li, (unsigned long)priority); }
/* Takes the port out of the enabled set. NC-113, NC-114. */
static inline int portDisable(const KnCap *actor_cap, int port_li) { CHORUS_CALL("portDisable", (unsigned long)actor_cap, (unsigned long)port_li); }
/* UI of a port of the caller's actor. */
static inline int portUi(KnUniqueId *port_ui, int port_li) { CHORUS_CALL("portUi", (unsigned long)port_ui, (unsigned long)port_li); }
/* LI of a port of the caller's actor. NC-129. */
static inline int portLi(const KnUniqueId *port_ui) { CHORUS_CALL("portLi", (unsigned long)port_ui); }
/* Count of messages received on the port. */
static inline int portGetSeqNum(const KnCap *actor_cap, int port_li, unsigned int *seq_num) { CHORUS_CALL("portGetSeqNum", (unsigned long)actor_cap, (unsigned long)port_li, (unsigned long)seq_num); }
/* Moves a port to another actor, of this site or of another, with what is queued on it or without; returns its LI there. It arrives disabled. NC-116…128. */
static inline int portMigrate(int options, const KnCap *src_actor_cap, int port_li, const KnCap *dst_actor_cap, unsigned int *seq_num) { CHORUS_CALL("portMigrate", (unsigned long)options, (unsigned long)src_actor_cap, (unsigned long)port_li, (unsigned long)dst_actor_cap, (unsigned long)seq_num); }
/* Reads and sets the protection identifier of a port; a null pointer skips that half. NC-131, NC-132. */
static inline int portPi(const KnCap *actor_cap, int port_li, KnProtId *old_pi, const KnProtId *new_pi) { CHORUS_CALL("portPi", (unsigned long)actor_cap, (unsigned long)port_li, (unsigned long)old_pi, (unsigned long)new_pi); }
/* Gives a group capability: a new one, or that of the well-known group `stamp`. NC-133…137. */
static inline int grpAllocate(int options, KnCap *group_cap, unsigned int stamp) { CHORUS_CALL("grpAllocate", (unsigned long)options, (unsigned long)group_cap, (unsigned long)stamp); }
/* Makes a port of this site a member; 0 also if it was one. NC-138…146. */
static inline int grpPortInsert(const KnCap *group_cap, const KnUniqueId *port_ui) { CHORUS_CALL("grpPortInsert", (unsigned long)group_cap, (unsigned long)port_ui); }
/* Ends a membership. NC-140…144. */
static inline int grpPortRemove(const KnCap *group_cap, const KnUniqueId *port_ui) { CHORUS_CALL("grpPortRemove", (unsigned long)group_cap, (unsigned long)port_ui); }
/* Sends without waiting, to a port or to a group in any mode. NC-150…179. */
static inline int ipcSend(const KnMsgDesc *msg, int src_port, const KnIpcDest *dest) { CHORUS_CALL("ipcSend", (unsigned long)msg, (unsigned long)src_port, (unsigned long)dest); }
/* Sends a request and waits for its reply; at most once, anywhere. `delay` in ms, negative without limit. Returns the size of the reply's body. NC-180…194. */
static inline int ipcCall(const KnMsgDesc *request, int src_port, const KnIpcDest *dest, KnMsgDesc *reply, int delay) { CHORUS_CALL("ipcCall", (unsigned long)request, (unsigned long)src_port, (unsigned long)dest, (unsigned long)reply, (unsigned long)delay); }
/* Waits for a message on a port, or on any enabled one (the LI is written back); it becomes the current message. Returns the body's size. NC-195…205. */
static inline int ipcReceive(KnMsgDesc *msg, int *port_li, int delay) { CHORUS_CALL("ipcReceive", (unsigned long)msg, (unsigned long)port_li, (unsigned long)delay); }
/* Copies the body of the current message after its annex was received. NC-197…199. */
static inline int ipcGetData(const KnMsgDesc *msg) { CHORUS_CALL("ipcGetData", (unsigned long)msg); }
/* Answers the sender of the current message. NC-206…208, NC-219. */
static inline int ipcReply(const KnMsgDesc *msg) { CHORUS_CALL("ipcReply", (unsigned long)msg); }
/* `ipcReply` of the first descriptor, then `ipcReceive` with the others. If the reply fails, its error is returned and nothing is received. Own addition. */
static inline int ipcReplyReceive(const KnMsgDesc *reply, KnMsgDesc *msg, int *port_li, int delay) { CHORUS_CALL("ipcReplyReceive", (unsigned long)reply, (unsigned long)msg, (unsigned long)port_li, (unsigned long)delay); }
/* Puts the current message aside and returns its identifier. NC-209…214. */
static inline int ipcSave(int reserved) { CHORUS_CALL("ipcSave", (unsigned long)reserved); }
/* Makes a saved message current again. NC-209…214. */
static inline int ipcRestore(int message_id) { CHORUS_CALL("ipcRestore", (unsigned long)message_id); }
/* Tells about the current message. NC-215…218. */
static inline int ipcSysInfo(KnMsgHead *head) { CHORUS_CALL("ipcSysInfo", (unsigned long)head); }
/* Number of the local site. */
static inline int uiLocalSite(int *site) { CHORUS_CALL("uiLocalSite", (unsigned long)site); }
/* 1 if this site recognises the UI, else 0. NC-011…013. */
static inline int uiIsLocal(const KnUniqueId *ui) { CHORUS_CALL("uiIsLocal", (unsigned long)ui); }
/* Adds a UI to those that this site recognises, so that selective addressing finds the site by it. NC-157. */
static inline int uiDeclare(const KnUniqueId *ui) { CHORUS_CALL("uiDeclare", (unsigned long)ui); }
/* Takes one declaration of the caller's actor back. NC-158. */
static inline int uiForget(const KnUniqueId *ui) { CHORUS_CALL("uiForget", (unsigned long)ui); }
/* Creates a region of fresh zeroed memory. NC-224…229. */
static inline int rgnAllocate(const KnCap *actor_cap, KnRgnDesc *region) { CHORUS_CALL("rgnAllocate", (unsigned long)actor_cap, (unsigned long)region); }
/* Releases an address range; regions are split at its ends. NC-230. */
static inline int rgnFree(const KnCap *actor_cap, const KnRgnDesc *region) { CHORUS_CALL("rgnFree", (unsigned long)actor_cap, (unsigned long)region); }
/* Bytes of a page. */
static inline int vmPageSize(void) { CHORUS_CALL("vmPageSize"); }
/* Memory totals of the site. */
static inline int vmStat(KnVmStat *stat) { CHORUS_CALL("vmStat", (unsigned long)stat); }
/* Sets the protection of a range. NC-231. */
static inline int rgnSetProtect(const KnCap *actor_cap, const KnRgnDesc *region) { CHORUS_CALL("rgnSetProtect", (unsigned long)actor_cap, (unsigned long)region); }
/* Says what a duplicate of the actor's memory gets of a range. NC-237. */
static inline int rgnSetInherit(const KnCap *actor_cap, const KnRgnDesc *region) { CHORUS_CALL("rgnSetInherit", (unsigned long)actor_cap, (unsigned long)region); }
/* Keeps two words with a range. */
static inline int rgnSetOpaque(const KnCap *actor_cap, const KnRgnDesc *region) { CHORUS_CALL("rgnSetOpaque", (unsigned long)actor_cap, (unsigned long)region); }
/* Makes and fixes the pages of a range, or lets them go again. NC-240. */
static inline int rgnSetPaging(const KnCap *actor_cap, const KnRgnDesc *region) { CHORUS_CALL("rgnSetPaging", (unsigned long)actor_cap, (unsigned long)region); }
/* Describes the regions in a range; returns how many there are. NC-015, NC-232. */
static inline int rgnStat(const KnCap *actor_cap, const KnRgnDesc *region, KnRgnStat *stat, unsigned int stat_size) { CHORUS_CALL("rgnStat", (unsigned long)actor_cap, (unsigned long)region, (unsigned long)stat, (unsigned long)stat_size); }
/* Copies bytes from actor to actor. */
static inline int vmCopy(const KnCap *src_actor, unsigned long src, const KnCap *dst_actor, unsigned long dst, unsigned long size) { CHORUS_CALL("vmCopy", (unsigned long)src_actor, (unsigned long)src, (unsigned long)dst_actor, (unsigned long)dst, (unsigned long)size); }
/* Fixes the pages of a range where they are. */
static inline int vmLock(const KnCap *actor_cap, unsigned long address, unsigned long size, unsigned int flags) { CHORUS_CALL("vmLock", (unsigned long)actor_cap, (unsigned long)address, (unsigned long)size, (unsigned long)flags); }
/* Takes one lock from each page of a range. */
static inline int vmUnLock(const KnCap *actor_cap, unsigned long address, unsigned long size) { CHORUS_CALL("vmUnLock", (unsigned long)actor_cap, (unsigned long)address, (unsigned long)size); }
/* Physical address of a resident page. */
static inline int vmPhysAddr(const KnCap *actor_cap, unsigned long address, unsigned long *physical) { CHORUS_CALL("vmPhysAddr", (unsigned long)actor_cap, (unsigned long)address, (unsigned long)physical); }
/* Creates a region with a deferred copy of a range of an actor. NC-233…235. */
static inline int rgnInitFromActor(const KnCap *target, KnRgnDesc *target_region, const KnCap *source, const KnRgnDesc *source_region) { CHORUS_CALL("rgnInitFromActor", (unsigned long)target, (unsigned long)target_region, (unsigned long)source, (unsigned long)source_region); }
/* Creates a region that shares a range of an actor. NC-236. */
static inline int rgnMapFromActor(const KnCap *target, KnRgnDesc *target_region, const KnCap *source, const KnRgnDesc *source_region) { CHORUS_CALL("rgnMapFromActor", (unsigned long)target, (unsigned long)target_region, (unsigned long)source, (unsigned long)source_region); }
/* Duplicates the memory of an actor into an actor without any. NC-237, NC-238. */
static inline int rgnDup(const KnCap *target, const KnCap *source, unsigned int flags) { CHORUS_CALL("rgnDup", (unsigned long)target, (unsigned long)source, (unsigned long)flags); }
/* Creates a region with a deferred copy of a part of a segment. NC-251. */
static inline int rgnInit(const KnCap *actor_cap, KnRgnDesc *region, const KnObjDesc *segment) { CHORUS_CALL("rgnInit", (unsigned long)actor_cap, (unsigned long)region, (unsigned long)segment); }
/* Creates a region that shows a part of a segment. NC-242…244. */
static inline int rgnMap(const KnCap *actor_cap, KnRgnDesc *region, const KnObjDesc *segment) { CHORUS_CALL("rgnMap", (unsigned long)actor_cap, (unsigned long)region, (unsigned long)segment); }
/* Reads bytes of a segment; returns how many. NC-245. */
static inline int sgRead(const KnObjDesc *segment, const KnCap *dst_actor, unsigned long dst, unsigned int flags) { CHORUS_CALL("sgRead", (unsigned long)segment, (unsigned long)dst_actor, (unsigned long)dst, (unsigned long)flags); }
/* Writes bytes of a segment; returns how many. NC-246. */
static inline int sgWrite(const KnCap *src_actor, unsigned long src, const KnObjDesc *segment, unsigned int flags) { CHORUS_CALL("sgWrite", (unsigned long)src_actor, (unsigned long)src, (unsigned long)segment, (unsigned long)flags); }
/* Describes the cache of a segment on this site. NC-252. */
static inline int sgStat(const KnCap *segment, KnLcStat *stat) { CHORUS_CALL("sgStat", (unsigned long)segment, (unsigned long)stat); }
/* Pushes out what a segment's mapper does not have. NC-247, NC-248, NC-258. */
static inline int sgFlush(const KnObjDesc *segment, unsigned int flags, unsigned long order) { CHORUS_CALL("sgFlush", (unsigned long)segment, (unsigned long)flags, (unsigned long)order); }
/* Pushes out all segments of the site. */
static inline int sgSyncAll(void) { CHORUS_CALL("sgSyncAll"); }
/* Flushes the segments that are shown in a range. */
static inline int vmFlush(const KnCap *actor_cap, unsigned long address, unsigned long size, unsigned int flags) { CHORUS_CALL("vmFlush", (unsigned long)actor_cap, (unsigned long)address, (unsigned long)size, (unsigned long)flags); }
/* Keeps the cache of a segment, and gives an LI for it. */
static inline int lcOpen(const KnCap *segment, unsigned int flags, int *cache_li) { CHORUS_CALL("lcOpen", (unsigned long)segment, (unsigned long)flags, (unsigned long)cache_li); }
/* Gives back what `lcOpen` gave. */
static inline int lcClose(int cache_li) { CHORUS_CALL("lcClose", (unsigned long)cache_li); }
/* Writes the capability of a cache itself. */
static inline int lcCap(int cache_li, KnCap *cache_cap) { CHORUS_CALL("lcCap", (unsigned long)cache_li, (unsigned long)cache_cap); }
/* As `sgRead`, of an open cache. */
static inline int lcRead(int cache_li, unsigned long offset, const KnCap *dst_actor, unsigned long dst, unsigned long *size) { CHORUS_CALL("lcRead", (unsigned long)cache_li, (unsigned long)offset, (unsigned long)dst_actor, (unsigned long)dst, (unsigned long)size); }
/* As `sgWrite`, of an open cache. */
static inline int lcWrite(int cache_li, unsigned long offset, const KnCap *src_actor, unsigned long src, unsigned long *size) { CHORUS_CALL("lcWrite", (unsigned long)cache_li, (unsigned long)offset, (unsigned long)src_actor, (unsigned long)src, (unsigned long)size); }
/* As `sgFlush`, of the cache with a capability. NC-258. */
static inline int lcFlush(const KnObjDesc *cache, unsigned int flags, unsigned long order) { CHORUS_CALL("lcFlush", (unsigned long)cache, (unsigned long)flags, (unsigned long)order); }
/* Time since boot; never goes back. */
static inline int sysTime(KnTimeVal *time) { CHORUS_CALL("sysTime", (unsigned long)time); }
/* Resolution of the clock. */
static inline int sysTimeGetRes(KnTimeVal *resolution) { CHORUS_CALL("sysTimeGetRes", (unsigned long)resolution); }
/* Resolution of timers. */
static inline int timerGetRes(KnTimeVal *resolution) { CHORUS_CALL("timerGetRes", (unsigned long)resolution); }
/* Prepares a pool of threads that wait for timers. NC-272. */
static inline int timerThreadPoolInit(KnThreadPool *pool) { CHORUS_CALL("timerThreadPoolInit", (unsigned long)pool); }
/* Waits until a timer of the pool expires; writes its cookie and how often more it expired since. NC-272. */
static inline int timerThreadPoolWait(KnThreadPool *pool, unsigned long *cookie, int *overrun, const KnTimeVal *wait_limit) { CHORUS_CALL("timerThreadPoolWait", (unsigned long)pool, (unsigned long)cookie, (unsigned long)overrun, (unsigned long)wait_limit); }
/* Makes a timer of an actor, not armed, whose expiries go to a pool; writes its LI. NC-272…274. */
static inline int timerCreate(const KnCap *actor_cap, int clock, KnThreadPool *pool, unsigned long cookie, int *timer_li) { CHORUS_CALL("timerCreate", (unsigned long)actor_cap, (unsigned long)clock, (unsigned long)pool, (unsigned long)cookie, (unsigned long)timer_li); }
/* Arms a timer, once or periodically, or disarms it with a zero value; writes the rest of the former setting. NC-272. */
static inline int timerSet(const KnCap *actor_cap, int timer_li, int flags, const KnITimer *new_setting, KnITimer *old_setting) { CHORUS_CALL("timerSet", (unsigned long)actor_cap, (unsigned long)timer_li, (unsigned long)flags, (unsigned long)new_setting, (unsigned long)old_setting); }
/* Deletes a timer: no expiry of it is delivered any more. NC-273. */
static inline int timerDelete(const KnCap *actor_cap, int timer_li) { CHORUS_CALL("timerDelete", (unsigned long)actor_cap, (unsigned long)timer_li); }
/* Puts a line (at most 256 bytes, cut) on the site's console log. `printf`-like formatting is the library's. NC-279. */
static inline int sysLog(const void *text, unsigned int size) { CHORUS_CALL("sysLog", (unsigned long)text, (unsigned long)size); }
/* Counters of the site. Own addition. */
static inline int siteStat(KnSiteStat *stat) { CHORUS_CALL("siteStat", (unsigned long)stat); }
/* Ends the site with an exit code (the virtual machine ends). Own addition. */
static inline int siteHalt(int code) { CHORUS_CALL("siteHalt", (unsigned long)code); }
/* Reports a boot or bench mark to the machine. Own addition. */
static inline int siteMark(unsigned int mark) { CHORUS_CALL("siteMark", (unsigned long)mark); }
/* Reads and sets the port to which exceptions of the actor's threads are reported; a null pointer skips that half, the null UI removes it. NC-048…052. */
static inline int actorExcept(const KnCap *actor_cap, KnUniqueId *old_port, const KnUniqueId *new_port) { CHORUS_CALL("actorExcept", (unsigned long)actor_cap, (unsigned long)old_port, (unsigned long)new_port); }
/* Sets the routine `int handler(KnThreadCtx *ctx, int exc_no, KnExcReport *info)` that treats exceptions of the actor; null removes it. NC-270, NC-271. */
static inline int svExcHandler(const KnCap *actor_cap, unsigned long routine) { CHORUS_CALL("svExcHandler", (unsigned long)actor_cap, (unsigned long)routine); }
/* Sets the routine `void handler(KnThreadCtx *ctx)` that runs when an aborted thread of the actor goes back to its own code; null removes it. */
static inline int svAbortHandler(const KnCap *actor_cap, unsigned long routine) { CHORUS_CALL("svAbortHandler", (unsigned long)actor_cap, (unsigned long)routine); }
/* Connects a LAP to the exceptions of an actor, at a place of its vector; they are tried in its order. NC-270, NC-271. */
static inline int svActorExcHandlerConnect(const KnCap *actor_cap, int index, const KnLapDesc *lap) { CHORUS_CALL("svActorExcHandlerConnect", (unsigned long)actor_cap, (unsigned long)index, (unsigned long)lap); }
/* Disconnects the LAP at a place of the vector; null: whichever it is. */
static inline int svActorExcHandlerDisconnect(const KnCap *actor_cap, int index, const KnLapDesc *lap) { CHORUS_CALL("svActorExcHandlerDisconnect", (unsigned long)actor_cap, (unsigned long)index, (unsigned long)lap); }
/* Writes the LAP at a place of the vector. NC-271. */
static inline int svActorExcHandlerGetConnected(const KnCap *actor_cap, int index, KnLapDesc *lap) { CHORUS_CALL("svActorExcHandlerGetConnected", (unsigned long)actor_cap, (unsigned long)index, (unsigned long)lap); }
/* Describes device `index` of the machine; returns 0. Own addition. */
static inline int devGet(int index, KnDevDesc *device) { CHORUS_CALL("devGet", (unsigned long)index, (unsigned long)device); }
/* Maps registers of a device into the caller's space, uncached; returns 0. Own addition. */
static inline int devMap(unsigned long base, unsigned long size, unsigned long *address) { CHORUS_CALL("devMap", (unsigned long)base, (unsigned long)size, (unsigned long)address); }
/* Allocates physically contiguous, zeroed memory for a device to access; writes its address and physical address. Own addition. */
static inline int devMemory(unsigned long size, unsigned long *address, unsigned long *physical) { CHORUS_CALL("devMemory", (unsigned long)size, (unsigned long)address, (unsigned long)physical); }
/* Connects a LAP to the aborts of an actor's threads, at a place of its vector; all of them run, in its order. */
static inline int svActorAbortHandlerConnect(const KnCap *actor_cap, int index, const KnLapDesc *lap) { CHORUS_CALL("svActorAbortHandlerConnect", (unsigned long)actor_cap, (unsigned long)index, (unsigned long)lap); }
/* Disconnects the LAP at a place of the vector; null: whichever it is. */
static inline int svActorAbortHandlerDisconnect(const KnCap *actor_cap, int index, const KnLapDesc *lap) { CHORUS_CALL("svActorAbortHandlerDisconnect", (unsigned long)actor_cap, (unsigned long)index, (unsigned long)lap); }
/* Writes the LAP at a place of the vector. */
static inline int svActorAbortHandlerGetConnected(const KnCap *actor_cap, int index, KnLapDesc *lap) { CHORUS_CALL("svActorAbortHandlerGetConnected", (unsigned long)actor_cap, (unsigned long)index, (unsigned long)lap); }
/* Makes the caller's actor the driver of a device interrupt, which `devWait` waits for. Own addition. */
static inline int devAttach(unsigned int irq) { CHORUS_CALL("devAttach", (unsigned long)irq); }
/* Waits for an interrupt of the device; returns how many came since the last return. Own addition. */
static inline int devWait(unsigned int irq, const KnTimeVal *wait_limit) { CHORUS_CALL("devWait", (unsigned long)irq, (unsigned long)wait_limit); }
/* Reads 1, 2 or 4 bytes from an I/O port of a device. Own addition. */
static inline int devIn(unsigned int port, unsigned int size, unsigned int *value) { CHORUS_CALL("devIn", (unsigned long)port, (unsigned long)size, (unsigned long)value); }
/* Writes 1, 2 or 4 bytes to an I/O port of a device. Own addition. */
static inline int devOut(unsigned int port, unsigned int size, unsigned int value) { CHORUS_CALL("devOut", (unsigned long)port, (unsigned long)size, (unsigned long)value); }
/* Makes the caller's actor the Network Manager of the site; `irq` is the device interrupt that `nmWait` reports too, or -1. What the cluster told the site goes into `seat`, unless it is null. Own addition. */
static inline int nmAttach(int irq, KnNetSeat *seat) { CHORUS_CALL("nmAttach", (unsigned long)irq, (unsigned long)seat); }
/* Waits until there is an outbound item (bit 0) or the device interrupt fired (bit 1); returns the bits and clears bit 1. Own addition. */
static inline int nmWait(const KnTimeVal *wait_limit) { CHORUS_CALL("nmWait", (unsigned long)wait_limit); }
/* Takes the next outbound item; returns the bytes of its body, or K_ETIMEOUT when there is none. K_ETOOMUCH (item kept) if the room is too small. Own addition. */
static inline int nmTake(KnNetItem *item, void *body, unsigned int room) { CHORUS_CALL("nmTake", (unsigned long)item, (unsigned long)body, (unsigned long)room); }
/* Hands in a message from the network, or a port. K_EUNKNOWN: the port is not here, the group has no member here. Own addition. */
static inline int nmDeliver(const KnNetItem *item, const void *body) { CHORUS_CALL("nmDeliver", (unsigned long)item, (unsigned long)body); }
/* Ends a local client's call with a reply or an error, or the move of a port. K_EUNKNOWN: the client has gone. Own addition. */
static inline int nmComplete(const KnNetItem *item, const void *body) { CHORUS_CALL("nmComplete", (unsigned long)item, (unsigned long)body); }
/* Not 0 if messages to the UI can be delivered here (the site, a port here, a group with a member here): 1, of a port 1 and how often it moved between sites. What is only declared, or arrives, is not here. Own addition. */
static inline int nmQuery(const KnUniqueId *ui) { CHORUS_CALL("nmQuery", (unsigned long)ui); }
/* Connects a routine `void handler(KnMsgDesc *msg, void *cookie)` of a supervisor actor to one of its ports; null disconnects. NC-124, NC-203, NC-220…223. */
static inline int svMsgHandler(const KnCap *actor_cap, int port_li, unsigned long handler, unsigned int stack_size, unsigned long cookie) { CHORUS_CALL("svMsgHandler", (unsigned long)actor_cap, (unsigned long)port_li, (unsigned long)handler, (unsigned long)stack_size, (unsigned long)cookie); }
/* Inside a message handler: prepares the reply that the client gets when the routine returns; the last one counts. NC-223. */
static inline int svMsgHdlReply(const KnMsgDesc *msg) { CHORUS_CALL("svMsgHdlReply", (unsigned long)msg); }
/* Takes the oldest queued message of a port with a handler, waiting for one, and calls the handler with it in the caller's thread. Own addition. */
static inline int svMsgServe(int port_li) { CHORUS_CALL("svMsgServe", (unsigned long)port_li); }
/* Has a LAP called at interrupt level, once, when a delay has passed. */
static inline int svSysTimeoutSet(KnTimeout *desc, const KnTimeVal *delay, int flags, const KnLapDesc *handler) { CHORUS_CALL("svSysTimeoutSet", (unsigned long)desc, (unsigned long)delay, (unsigned long)flags, (unsigned long)handler); }
/* Takes it back: the handler does not start any more. */
static inline int svSysTimeoutCancel(const KnTimeout *desc) { CHORUS_CALL("svSysTimeoutCancel", (unsigned long)desc); }
/* Resolution of system timeouts. */
static inline int svTimeoutGetRes(KnTimeVal *resolution) { CHORUS_CALL("svTimeoutGetRes", (unsigned long)resolution); }
/* The link to a site broke: calls to ports there end with K_ELINKFAILURE, and requests of that site have no client any more. NC-280. */
static inline int svLinkFailure(unsigned int site, int reason) { CHORUS_CALL("svLinkFailure", (unsigned long)site, (unsigned long)reason); }
/* Takes rights from a part of a cache. */
static inline int lcSetRights(const KnObjDesc *cache, unsigned int access, unsigned int flags, unsigned long order) { CHORUS_CALL("lcSetRights", (unsigned long)cache, (unsigned long)access, (unsigned long)flags, (unsigned long)order); }
/* Shapes the end of a segment in a cache. */
static inline int lcTrunc(const KnObjDesc *cache, unsigned long zero_offset, unsigned int flags, unsigned long order) { CHORUS_CALL("lcTrunc", (unsigned long)cache, (unsigned long)zero_offset, (unsigned long)flags, (unsigned long)order); }
/* Zeros a part of a cache without asking for it. */
static inline int lcFillZero(const KnObjDesc *cache) { CHORUS_CALL("lcFillZero", (unsigned long)cache); }
/* Describes the cache with a capability. */
static inline int lcStat(const KnCap *cache, KnLcStat *stat) { CHORUS_CALL("lcStat", (unsigned long)cache, (unsigned long)stat); }
/* Gives pages of one cache to another, in answer to a pull-in. */
static inline int lcPushData(const KnObjDesc *source, unsigned int source_flags, const KnObjDesc *target, unsigned int target_flags, unsigned long pull_in_id, unsigned long order) { CHORUS_CALL("lcPushData", (unsigned long)source, (unsigned long)source_flags, (unsigned long)target, (unsigned long)target_flags, (unsigned long)pull_in_id, (unsigned long)order); }
/* Connects a routine `int handler(KnThreadCtx *ctx, unsigned trap_no)` to a trap; it runs on the trapping thread, in the caller's actor. NC-265, NC-266, NC-268, NC-269. */
static inline int svTrapConnect(unsigned int trap_no, unsigned long routine) { CHORUS_CALL("svTrapConnect", (unsigned long)trap_no, (unsigned long)routine); }
/* Disconnects it; returns when no thread is inside. */
static inline int svTrapDisConnect(unsigned int trap_no, unsigned long routine) { CHORUS_CALL("svTrapDisConnect", (unsigned long)trap_no, (unsigned long)routine); }
/* Connects a routine to an index of a trap's table: the trapping thread's rax picks it. NC-267. Own addition. */
static inline int svTrapTabConnect(unsigned int trap_no, unsigned int index, unsigned long routine) { CHORUS_CALL("svTrapTabConnect", (unsigned long)trap_no, (unsigned long)index, (unsigned long)routine); }
/* Disconnects it; returns when no thread is inside. Own addition. */
static inline int svTrapTabDisConnect(unsigned int trap_no, unsigned int index) { CHORUS_CALL("svTrapTabDisConnect", (unsigned long)trap_no, (unsigned long)index); }
/* Connects a LAP to a trap; its argument is a `KnSysTrapDesc`. NC-266. */
static inline int svSysTrapHandlerConnect(unsigned int trap_no, const KnLapDesc *lap) { CHORUS_CALL("svSysTrapHandlerConnect", (unsigned long)trap_no, (unsigned long)lap); }
/* Disconnects it (null: whichever it is); returns when no thread is inside. */
static inline int svSysTrapHandlerDisconnect(unsigned int trap_no, const KnLapDesc *lap) { CHORUS_CALL("svSysTrapHandlerDisconnect", (unsigned long)trap_no, (unsigned long)lap); }
/* Writes the LAP that is connected to a trap. */
static inline int svSysTrapHandlerGetConnected(unsigned int trap_no, KnLapDesc *lap) { CHORUS_CALL("svSysTrapHandlerGetConnected", (unsigned long)trap_no, (unsigned long)lap); }
/* Makes a local access point: a routine `void handler(void *arg, void *cookie)` of a supervisor actor that threads of others call. NC-276. */
static inline int svLapCreate(const KnCap *actor_cap, unsigned long handler, unsigned long cookie, unsigned int options, KnLapDesc *lap) { CHORUS_CALL("svLapCreate", (unsigned long)actor_cap, (unsigned long)handler, (unsigned long)cookie, (unsigned long)options, (unsigned long)lap); }
/* Deletes a LAP; a safe one's deletion returns when no call is inside. NC-276. */
static inline int svLapDelete(const KnLapDesc *lap) { CHORUS_CALL("svLapDelete", (unsigned long)lap); }
/* Calls a LAP in the caller's thread; from user mode only safe ones. NC-276. */
static inline int lapInvoke(const KnLapDesc *lap, unsigned long arg) { CHORUS_CALL("lapInvoke", (unsigned long)lap, (unsigned long)arg); }
/* Binds a name of at most 7 characters to a LAP, on this site. NC-277, NC-278. */
static inline int svLapBind(const KnLapDesc *lap, const void *name, unsigned int options) { CHORUS_CALL("svLapBind", (unsigned long)lap, (unsigned long)name, (unsigned long)options); }
/* Takes a name away. */
static inline int svLapUnbind(const void *name) { CHORUS_CALL("svLapUnbind", (unsigned long)name); }
/* Writes the LAP with this name, waiting for it to be bound. NC-277, NC-278. */
static inline int lapResolve(KnLapDesc *lap, const void *name, unsigned int options) { CHORUS_CALL("lapResolve", (unsigned long)lap, (unsigned long)name, (unsigned long)options); }
/* Reads and sets the most pages of memory that an actor may own; 0: as many as there are. A null pointer skips that half. Own addition. */
static inline int actorLimit(const KnCap *actor_cap, unsigned int *old_limit, const unsigned int *new_limit) { CHORUS_CALL("actorLimit", (unsigned long)actor_cap, (unsigned long)old_limit, (unsigned long)new_limit); }
/* Attaches a handler `int handler(void *cookie)` to a vector of a device interrupt. NC-275. */
static inline int svIntrAttach(unsigned int intr, unsigned long handler, unsigned long cookie, KnIntrOps *ops, unsigned long *id) { CHORUS_CALL("svIntrAttach", (unsigned long)intr, (unsigned long)handler, (unsigned long)cookie, (unsigned long)ops, (unsigned long)id); }
/* Detaches it; returns when it does not run. */
static inline int svIntrDetach(unsigned long id) { CHORUS_CALL("svIntrDetach", (unsigned long)id); }
/* Holds an attached interrupt back. Own name for a service of `CpuIntrOps`. */
static inline int svIntrMask(unsigned long id) { CHORUS_CALL("svIntrMask", (unsigned long)id); }
/* Lets it through again; one that came meanwhile comes now. Own name for a service of `CpuIntrOps`. */
static inline int svIntrUnmask(unsigned long id) { CHORUS_CALL("svIntrUnmask", (unsigned long)id); }
/* Declares a soft interrupt: work that an interrupt handler puts off. */
static inline int svSoftIntrDeclare(KnSoftIntr *soft) { CHORUS_CALL("svSoftIntrDeclare", (unsigned long)soft); }
/* Has its handler run before the processor goes back to a thread; last triggered, first run. */
static inline int svSoftIntrTrigger(const KnSoftIntr *soft) { CHORUS_CALL("svSoftIntrTrigger", (unsigned long)soft); }
/* Ends it; returns when its handler does not run. */
static inline int svSoftIntrForget(const KnSoftIntr *soft) { CHORUS_CALL("svSoftIntrForget", (unsigned long)soft); }

/* What the loader tells the actor. */
typedef struct StartInfo {
    unsigned int abi_version;
    int kind;
    unsigned int site;
    unsigned int sites;
    unsigned long args;
    unsigned long args_size;
    unsigned long base;
    unsigned int epoch;
    unsigned int cpus;
} StartInfo;
_Static_assert(sizeof(StartInfo) == 48, "StartInfo");

extern const StartInfo *chorus_start;

/* Identifiers: pure computations (spec 1.1, 3.7), each with a page in docs/calls. K_EFAULT is for the null pointer; another address that is not the
 * caller's ends as any access to it does. */
static inline int uiType(const KnUniqueId *ui) { return (int)(ui->ui_head >> 16 & 7); }
static inline void uiClear(KnUniqueId *ui) { ui->ui_head = 0; ui->ui_tail = 0; }
static inline int uiValid(const KnUniqueId *ui) { return (ui->ui_head | ui->ui_tail) != 0; }
static inline int uiEqual(const KnUniqueId *a, const KnUniqueId *b)
{
    /* The addressing mode of a group does not count. */
    unsigned int mask = uiType(a) == K_UIGROUP ? 0xffff3fffu : 0xffffffffu;
    return a->ui_tail == b->ui_tail && (a->ui_head & mask) == (b->ui_head & mask);
}
static inline int uiBuild(KnUniqueId *ui, unsigned int type, unsigned int site, unsigned int stamp)
{
    unsigned int epoch = type == K_UIPORT ? 0x3fffu : type == K_UIGROUP ? 0x3ffeu : 0;
    if (!ui)
        return K_EFAULT;
    if (type < K_UISITE || type > K_UIGROUP || site > SITE_MAX || stamp > UI_STAMP_MAX || (type == K_UIGROUP && site))
        return K_EINVAL;
    ui->ui_head = site << 19 | type << 16 | epoch;
    ui->ui_tail = stamp;
    return K_OK;
}
static inline int uiSite(KnUniqueId *ui, unsigned int site) { return uiBuild(ui, K_UISITE, site, 0); }
static inline int uiGetSite(const KnUniqueId *ui)
{
    if (!ui)
        return K_EFAULT;
    return uiValid(ui) ? (int)(ui->ui_head >> 19) : K_EINVAL;
}
static inline int ipcTarget(KnUniqueId *ui, int mode)
{
    if (!ui)
        return K_EFAULT;
    if (uiType(ui) != K_UIGROUP || mode < K_BROADMODE || mode > K_FUNCXMODE)
        return K_EINVAL;
    ui->ui_head = (ui->ui_head & 0xffff3fffu) | (unsigned int)mode << 14;
    return K_OK;
}
/* The well-known port `stamp` of a site: uiBuild(K_UIPORT, site, stamp), for numbers that are known to be good. */
static inline KnUniqueId uiPort(unsigned int site, unsigned int stamp)
{
    KnUniqueId ui = { site << 19 | 2u << 16 | 0x3fffu, stamp };
    return ui;
}

/* Writes bytes to the actor's standard output (STREAM_OUT) or standard error (STREAM_ERR); where there is no console service, to the site's log. */
int chorus_write(unsigned int stream, const void *bytes, unsigned int size);

#ifdef CHORUS_ACTOR
int chorus_main(void);
const StartInfo *chorus_start;

__attribute__((used, noreturn)) void chorus_begin(const StartInfo *info)
{
    chorus_start = info;
    for (;;)
        actorExit(chorus_main());
}

/* The compiler may call these whatever it is told. Not to be turned into calls of themselves. */
#pragma GCC push_options
#pragma GCC optimize("no-tree-loop-distribute-patterns")
void *memcpy(void *to, const void *from, unsigned long size)
{
    for (unsigned long at = 0; at < size; at++)
        ((unsigned char *)to)[at] = ((const unsigned char *)from)[at];
    return to;
}
void *memset(void *to, int byte, unsigned long size)
{
    for (unsigned long at = 0; at < size; at++)
        ((unsigned char *)to)[at] = (unsigned char)byte;
    return to;
}
#pragma GCC pop_options

int chorus_write(unsigned int stream, const void *bytes, unsigned int size)
{
    union { ConsoleRequest request; unsigned char annex[K_CMSGANNEXSIZE]; } message = { { 0 } }, answer = { { 0 } };
    KnMsgDesc out = { 0 }, in = { 0 };
    KnIpcDest to = { 0 };
    const char *name = (const char *)chorus_start->args;
    message.request.service = CONSOLE_WRITE;
    message.request.stream = stream;
    message.request.site = chorus_start->site;
    portUi(&message.request.actor, K_DEFAULTPORT);
    for (unsigned long at = 0; at < NAME_MAX && at < chorus_start->args_size && name[at]; at++)
        message.request.name[at] = (unsigned char)name[at];
    out.body_addr = (unsigned long)bytes;
    out.body_size = size;
    out.annex_addr = (unsigned long)message.annex;
    in.annex_addr = (unsigned long)answer.annex;
    to.target = uiPort(GATEWAY_SITE, STAMP_CONSOLE);
    int result = ipcCall(&out, K_DEFAULTPORT, &to, &in, K_NODELAY_LIMIT);
    if (result >= 0)
        return K_OK;
    /* The log takes a line at a time, of at most 256 bytes. */
    for (const char *line = bytes, *end = line + size; line < end;) {
        const char *stop = line;
        while (stop < end && *stop != '\n' && stop - line < 256)
            stop++;
        result = sysLog(line, (unsigned int)(stop - line));
        line = stop < end && *stop == '\n' ? stop + 1 : stop;
    }
    return result;
}

__asm__(".pushsection .note.chorus,\"a\",@note\n"
        ".balign 4\n"
        ".long 8, 32, 1\n"
        ".ascii \"Chorus\\0\\0\"\n"
        ".long 2, 0\n"
        ".quad 0\n"
        ".long __start_chorus_imports - .\n"
        ".long __stop_chorus_imports - .\n"
        ".quad 0\n"
        ".popsection\n"
        ".pushsection .text._start,\"ax\",@progbits\n"
        ".globl _start\n"
        "_start:\n"
        "xor %ebp, %ebp\n"
        "and $-16, %rsp\n"
        "call chorus_begin\n"
        "ud2\n"
        ".popsection\n");
#endif

#endif
