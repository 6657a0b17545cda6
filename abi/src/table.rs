//! The table of Nucleus calls: number, names, arguments, privilege, blocking, errors and a one-paragraph contract, once.
//!
//! [`chorus_calls!`](crate::chorus_calls) hands the whole table to a macro of the caller's, which makes from it whatever it needs: stubs in the
//! actor runtime, the dispatcher in the Nucleus, and here [`CALLS`], the table as data (for the C header, traces, manual pages
//! and tests). A call is added by adding a row; whoever forgets its other half does not compile.

use crate::error::KError;

/// Who may make a call (spec 2.2: the privilege of threads).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Privilege {
    /// Any thread.
    User,
    /// Threads of system actors and supervisor threads.
    System,
    /// Supervisor threads only.
    Supervisor,
}

/// One argument of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Argument {
    /// Name in Rust.
    pub name: &'static str,
    /// Type in Rust, such as `In<KnCap>`.
    pub rust: &'static str,
    /// Type that it has, or points at, in C.
    pub c: &'static str,
    /// Whether it is a pointer.
    pub pointer: bool,
}

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call {
    /// Number in `rax`.
    pub number: u16,
    /// Chorus name, as in the C header and in traces.
    pub name: &'static str,
    /// Name of the Rust stub and of the Nucleus function.
    pub rust: &'static str,
    /// Arguments, at most six.
    pub arguments: &'static [Argument],
    /// Least privilege for the call itself; single rules may ask for more.
    pub privilege: Privilege,
    /// Whether the caller may have to wait.
    pub blocks: bool,
    /// Errors that it can return.
    pub errors: &'static [KError],
    /// Contract: the row's documentation, a line an element.
    pub contract: &'static [&'static str],
}

/// Calls `$callback!` with every row: `doc number "chorusName" rust_name Privilege blocks|returns (args) [errors];`.
#[macro_export]
macro_rules! chorus_calls {
    ($callback:ident) => { $callback! {
/// Does nothing and returns 0: the cost of a call by itself. Own addition.
0 "sysNull" sys_null User returns () [];
/// Makes an actor as child of `actor_init` (null: the caller's) and writes its capability. It has its default port, no thread and an empty space. NC-014…025.
1 "actorCreate" actor_create User returns (actor_init: In<KnCap>, actor_cap: Out<KnCap>, kind: i32, status: i32) [Inval, Unknown, Priv, Fault, NoMem];
/// Removes an actor and everything it owns; with the null pointer the caller's own, and does not return. NC-026…033.
2 "actorDelete" actor_delete User blocks (actor_cap: In<KnCap>) [Inval, Unknown, Busy, Priv, Fault];
/// Puts all threads of the actor in the STOPPED state. NC-034…040.
3 "actorStop" actor_stop User blocks (actor_cap: In<KnCap>) [Inval, Unknown, Priv, Fault];
/// Starts a stopped actor. NC-034…040.
4 "actorStart" actor_start User returns (actor_cap: In<KnCap>) [Inval, Unknown, Priv, Fault];
/// Reads and sets the actor's priority; a null pointer skips that half. All its threads move at once. NC-041…047.
5 "actorPriority" actor_priority User returns (actor_cap: In<KnCap>, old_priority: Out<i32>, new_priority: In<i32>) [Inval, Unknown, Priv, Fault];
/// Writes the capability of the caller's actor.
6 "actorSelf" actor_self User returns (actor_cap: Out<KnCap>) [Fault];
/// Reads and sets the name of an actor: 16 bytes, zero padded, at most 15 used.
7 "actorName" actor_name User returns (actor_cap: In<KnCap>, old_name: Out<u8>, new_name: In<u8>) [Inval, Unknown, Priv, Fault];
/// Lists the actors of the site: returns how many there are, fills at most `room` entries. Keys are zero for unprivileged callers.
8 "actorStat" actor_stat User returns (list: Out<KnActorStat>, room: i32) [Inval, Fault];
/// Ends the caller's actor with a status that its death notice carries (see `actorNotify`); does not return. Own addition.
9 "actorExit" actor_exit User blocks (status: i32) [];
/// Names the port that gets a message when the actor ends, with the status of `actorExit` or the exception that ended it. Null UI: none. Own addition.
10 "actorNotify" actor_notify System returns (actor_cap: In<KnCap>, port: In<KnUniqueId>) [Inval, Unknown, Priv, Fault];
/// Loads an ELF image into an empty actor and starts its first thread; returns that thread's LI. The same image serves user and supervisor actors. Own addition.
11 "actorLoad" actor_load System returns (actor_cap: In<KnCap>, load: InOut<KnLoadDesc>) [Inval, Unknown, Priv, Fault, NoMem, Size, Busy];
/// Reads and sets the protection identifier of an actor; a null pointer skips that half. Ports that it has keep theirs. NC-018.
12 "actorPi" actor_pi User returns (actor_cap: In<KnCap>, old_pi: Out<KnProtId>, new_pi: In<KnProtId>) [Inval, Unknown, Priv, Fault];
/// Reads and sets the kind of an actor: user to system, or system to user. A null pointer skips that half.
13 "actorPrivilege" actor_privilege User returns (actor_cap: In<KnCap>, old_privilege: Out<i32>, new_privilege: In<i32>) [Inval, Unknown, Priv, Fault];

/// Makes a thread with a relative priority, first instruction and stack; returns its LI. Its first argument register holds `stack_pointer`, which is all
/// that it means to a supervisor thread: its stack is the Nucleus'. NC-053…059.
20 "threadCreate" thread_create User returns (actor_cap: In<KnCap>, privilege: i32, status: i32, priority: i32, entry: u64, stack_pointer: u64) [Inval, Unknown, Fault, Priv, NoMem];
/// Destroys a thread; LI 0 of the own actor ends the caller. NC-060…063.
21 "threadDelete" thread_delete User blocks (actor_cap: In<KnCap>, thread_li: i32) [Inval, Unknown, Busy, Priv, Fault];
/// LI of the caller in its actor.
22 "threadSelf" thread_self User returns () [];
/// Makes a thread created inactive eligible to run. NC-058.
23 "threadActivate" thread_activate User returns (actor_cap: In<KnCap>, thread_li: i32) [Inval, Unknown, Priv, Fault, Busy];
/// Adds one to the suspend counter; the thread executes no further user instruction. NC-064…068.
24 "threadSuspend" thread_suspend User blocks (actor_cap: In<KnCap>, thread_li: i32) [Inval, Unknown, Priv, Fault, Busy];
/// Lowers the suspend counter, not below 0. NC-064…068.
25 "threadResume" thread_resume User returns (actor_cap: In<KnCap>, thread_li: i32) [Inval, Unknown, Priv, Fault, Busy];
/// Ends the abortable wait of a thread with K_EABORT, or marks it ABORTED. NC-069…073.
26 "threadAbort" thread_abort User returns (actor_cap: In<KnCap>, thread_li: i32) [Inval, Unknown, Priv, Fault, Busy];
/// 1 and clears the mark if the caller is ABORTED, else 0. NC-071.
27 "threadAborted" thread_aborted User returns () [];
/// Sleeps: null without limit, zero only yields. The normal end of a sleep is K_ETIMEOUT. NC-074…076.
28 "threadDelay" thread_delay User blocks (wait_limit: In<KnTimeVal>) [Timeout, Abort, Inval, Fault];
/// Reads and sets a thread's priority relative to its actor; a null pointer skips that half. NC-041…047.
29 "threadPriority" thread_priority User returns (actor_cap: In<KnCap>, thread_li: i32, old_priority: Out<i32>, new_priority: In<i32>) [Inval, Unknown, Priv, Fault, Busy];
/// Describes the threads of an actor: returns how many there are, fills at most `room` entries.
30 "threadStat" thread_stat User returns (actor_cap: In<KnCap>, list: Out<KnThreadStat>, room: i32) [Inval, Unknown, Fault];
/// Writes the caller's context pointer (software register). NC-077.
31 "threadLoad" thread_load User returns (context: Out<u64>) [Fault];
/// Sets the caller's context pointer. NC-077.
32 "threadStore" thread_store User returns (context: u64) [];
/// Sets STOPPED on one thread, for debuggers; it executes no further instruction.
33 "threadStop" thread_stop System blocks (actor_cap: In<KnCap>, thread_li: i32) [Inval, Unknown, Priv, Fault, Busy];
/// Clears STOPPED of one thread, whoever set it. K_EINVAL when it is not stopped.
34 "threadStart" thread_start System returns (actor_cap: In<KnCap>, thread_li: i32) [Inval, Unknown, Priv, Fault, Busy];
/// Reads and sets the name of a thread, for debugging: 16 bytes, zero padded, at most 15 used.
35 "threadName" thread_name User returns (actor_cap: In<KnCap>, thread_li: i32, old_name: Out<u8>, new_name: In<u8>) [Inval, Unknown, Priv, Fault, Busy];
/// Reads and sets a thread's scheduling class and its parameters; a null pointer skips that half. NC-263.
36 "threadScheduler" thread_scheduler User returns (actor_cap: In<KnCap>, thread_li: i32, old_parameters: Out<KnThParms>, new_parameters: In<KnThParms>) [Inval, Unknown, Priv, Fault, Busy];
/// Reads the processor that a thread is tied to, and ties it to one; -1: to none. A null pointer skips that half.
37 "threadBind" thread_bind System blocks (actor_cap: In<KnCap>, thread_li: i32, old_cpu: Out<i32>, new_cpu: In<i32>) [Inval, Unknown, Priv, Fault, Busy];
/// Reads and sets the registers of a thread that is suspended, stopped or not yet activated; a null pointer skips that half. NC-078, NC-079.
38 "threadContext" thread_context User returns (actor_cap: In<KnCap>, thread_li: i32, old_context: InOut<KnThreadCtx>, new_context: In<KnThreadCtx>) [Inval, Unknown, Priv, Fault, Busy];

/// Makes the mutex free.
50 "mutexInit" mutex_init User returns (mutex: Out<KnMutex>) [Fault];
/// Locks, waiting while another has it; first come first served, not abortable. NC-080…083.
51 "mutexGet" mutex_get User blocks (mutex: InOut<KnMutex>) [Inval, Fault];
/// Unlocks; the oldest waiter gets it directly. NC-080…083.
52 "mutexRel" mutex_rel User returns (mutex: InOut<KnMutex>) [Inval, Fault];
/// Locks only if that needs no waiting: 0 acquired, 1 busy. NC-082.
53 "mutexTry" mutex_try User returns (mutex: InOut<KnMutex>) [Inval, Fault];
/// Sets the counter of a semaphore.
54 "semInit" sem_init User returns (sem: Out<KnSem>, count: u32) [Fault, Inval];
/// Takes a unit, waiting for it: null limit without end, zero not at all. NC-086…090.
55 "semP" sem_p User blocks (sem: InOut<KnSem>, wait_limit: In<KnTimeVal>) [Timeout, Abort, Fault, Inval];
/// Gives a unit; the longest waiting thread wakes. NC-086…090.
56 "semV" sem_v User returns (sem: InOut<KnSem>) [Inval, Fault, Full];
/// Makes an unposted binary semaphore that only the caller may wait on. NC-091, NC-092.
57 "threadSemInit" thread_sem_init User returns (sem: Out<KnThSem>) [Inval, Fault];
/// Takes the post of the caller's thread semaphore, waiting for it: null limit without end, zero not at all. NC-091, NC-092.
58 "threadSemWait" thread_sem_wait User blocks (sem: InOut<KnThSem>, wait_limit: In<KnTimeVal>) [Inval, Timeout, Abort, Fault];
/// Posts a thread semaphore; its thread wakes if it waits. Repeated posts are one. NC-091.
59 "threadSemPost" thread_sem_post User returns (sem: InOut<KnThSem>) [Inval, Fault];
/// Makes a set of 32 event flags, none posted. NC-093…096.
60 "eventInit" event_init User returns (set: Out<KnEventSet>) [Inval, Fault];
/// Posts flags; every thread whose wait they satisfy wakes. NC-093…096.
61 "eventPost" event_post User returns (set: InOut<KnEventSet>, mask: u32) [Inval, Fault];
/// Unposts flags. NC-096.
62 "eventClear" event_clear User returns (set: InOut<KnEventSet>, mask: u32) [Inval, Fault];
/// Waits until all (K_EVENT_AND) or one (K_EVENT_OR) of the flags are posted, and writes which are; they stay posted. NC-093…096.
63 "eventWait" event_wait User blocks (set: InOut<KnEventSet>, mask: u32, mode: i32, got: Out<u32>, wait_limit: In<KnTimeVal>) [Inval, Timeout, Abort, Fault];
/// Makes a free real-time mutex.
64 "rtMutexInit" rt_mutex_init User returns (mutex: Out<KnRtMutex>) [Inval, Fault];
/// Locks with priority inheritance: the owner runs at the best priority of those who wait for it, also through others. NC-084, NC-085.
65 "rtMutexGet" rt_mutex_get User blocks (mutex: InOut<KnRtMutex>) [Inval, Fault];
/// Unlocks; the most urgent waiter gets it, and the caller falls back to its own priority. NC-084, NC-085.
66 "rtMutexRel" rt_mutex_rel User returns (mutex: InOut<KnRtMutex>) [Inval, Fault];
/// Locks only if that needs no waiting: 0 acquired, 1 busy.
67 "rtMutexTry" rt_mutex_try User returns (mutex: InOut<KnRtMutex>) [Inval, Fault];

/// Makes a port of the actor, disabled, with an empty queue; writes its UI and returns its LI. NC-097…099.
70 "portCreate" port_create User returns (actor_cap: In<KnCap>, port_ui: Out<KnUniqueId>) [Inval, Unknown, Fault, NoMem];
/// As `portCreate` with a static UI made by `uiBuild`. NC-107…109.
71 "portDeclare" port_declare System returns (actor_cap: In<KnCap>, port_ui: In<KnUniqueId>) [Inval, Unknown, Priv, Busy, Fault, NoMem];
/// Destroys a port: queued messages are lost, queued requests and waiters end with K_ENOPORT. NC-100…106.
72 "portDelete" port_delete User returns (actor_cap: In<KnCap>, port_li: i32) [Inval, Unknown, Busy, Fault];
/// Adds the port to the actor's enabled set; low priority numbers are served first. NC-110…115.
73 "portEnable" port_enable User returns (actor_cap: In<KnCap>, port_li: i32, priority: i32) [Inval, Unknown, Fault];
/// Takes the port out of the enabled set. NC-113, NC-114.
74 "portDisable" port_disable User returns (actor_cap: In<KnCap>, port_li: i32) [Inval, Unknown, Fault];
/// UI of a port of the caller's actor.
75 "portUi" port_ui User returns (port_ui: Out<KnUniqueId>, port_li: i32) [Inval, Fault];
/// LI of a port of the caller's actor. NC-129.
76 "portLi" port_li User returns (port_ui: In<KnUniqueId>) [Inval, Fault];
/// Count of messages received on the port.
77 "portGetSeqNum" port_get_seq_num User returns (actor_cap: In<KnCap>, port_li: i32, seq_num: Out<u32>) [Inval, Unknown, Fault];
/// Moves a port to another actor, of this site or of another, with what is queued on it or without; returns its LI there. It arrives disabled. NC-116…128.
78 "portMigrate" port_migrate User blocks (options: i32, src_actor_cap: In<KnCap>, port_li: i32, dst_actor_cap: In<KnCap>, seq_num: Out<u32>) [Inval, Unknown, Busy, Full, TooMuch, NoMem, LinkFailure, Abort, Priv, Fault];
/// Reads and sets the protection identifier of a port; a null pointer skips that half. NC-131, NC-132.
79 "portPi" port_pi System returns (actor_cap: In<KnCap>, port_li: i32, old_pi: Out<KnProtId>, new_pi: In<KnProtId>) [Inval, Unknown, Busy, Priv, Fault];

/// Gives a group capability: a new one, or that of the well-known group `stamp`. NC-133…137.
90 "grpAllocate" grp_allocate User returns (options: i32, group_cap: Out<KnCap>, stamp: u32) [Inval, Priv, Fault];
/// Makes a port of this site a member; 0 also if it was one. NC-138…146.
91 "grpPortInsert" grp_port_insert User returns (group_cap: In<KnCap>, port_ui: In<KnUniqueId>) [Inval, Unknown, Busy, Fault, NoMem, Priv];
/// Ends a membership. NC-140…144.
92 "grpPortRemove" grp_port_remove User returns (group_cap: In<KnCap>, port_ui: In<KnUniqueId>) [Inval, Unknown, Busy, Fault, Priv];

/// Sends without waiting, to a port or to a group in any mode. NC-150…179.
100 "ipcSend" ipc_send User returns (msg: In<KnMsgDesc>, src_port: i32, dest: In<KnIpcDest>) [Inval, TooMuch, Fault, Full, Unknown, NoMem];
/// Sends a request and waits for its reply; at most once, anywhere. `delay` in ms, negative without limit. Returns the size of the reply's body. NC-180…194.
101 "ipcCall" ipc_call User blocks (request: In<KnMsgDesc>, src_port: i32, dest: In<KnIpcDest>, reply: InOut<KnMsgDesc>, delay: i32) [Inval, Unknown, Full, TooMuch, Fault, Timeout, Abort, NoPort, LinkFailure, NoMem];
/// Waits for a message on a port, or on any enabled one (the LI is written back); it becomes the current message. Returns the body's size. NC-195…205.
102 "ipcReceive" ipc_receive User blocks (msg: InOut<KnMsgDesc>, port_li: InOut<i32>, delay: i32) [Inval, NoPort, Timeout, Abort, Fault];
/// Copies the body of the current message after its annex was received. NC-197…199.
103 "ipcGetData" ipc_get_data User returns (msg: In<KnMsgDesc>) [Inval, Fault];
/// Answers the sender of the current message. NC-206…208, NC-219.
104 "ipcReply" ipc_reply User returns (msg: In<KnMsgDesc>) [Inval, TooMuch, Fault, Full, Unknown, NoMem];
/// `ipcReply` of the first descriptor, then `ipcReceive` with the others. If the reply fails, its error is returned and nothing is received. Own addition.
105 "ipcReplyReceive" ipc_reply_receive User blocks (reply: In<KnMsgDesc>, msg: InOut<KnMsgDesc>, port_li: InOut<i32>, delay: i32) [Inval, NoPort, Timeout, Abort, Fault, TooMuch, Full, Unknown, NoMem];
/// Puts the current message aside and returns its identifier. NC-209…214.
106 "ipcSave" ipc_save User returns (reserved: i32) [Inval, TooMuch];
/// Makes a saved message current again. NC-209…214.
107 "ipcRestore" ipc_restore User returns (message_id: i32) [Inval];
/// Tells about the current message. NC-215…218.
108 "ipcSysInfo" ipc_sys_info User returns (head: Out<KnMsgHead>) [Inval, Fault];

/// Number of the local site.
120 "uiLocalSite" ui_local_site User returns (site: Out<i32>) [Fault];
/// 1 if this site recognises the UI, else 0. NC-011…013.
121 "uiIsLocal" ui_is_local User returns (ui: In<KnUniqueId>) [Fault];
/// Adds a UI to those that this site recognises, so that selective addressing finds the site by it. NC-157.
122 "uiDeclare" ui_declare User returns (ui: In<KnUniqueId>) [Inval, Full, Priv, Fault];
/// Takes one declaration of the caller's actor back. NC-158.
123 "uiForget" ui_forget User returns (ui: In<KnUniqueId>) [Inval, Fault];

/// Creates a region of fresh zeroed memory. NC-224…229.
130 "rgnAllocate" rgn_allocate User returns (actor_cap: In<KnCap>, region: InOut<KnRgnDesc>) [Inval, Unknown, Round, Size, Addr, Overlap, Space, NoMem, Fault, Priv];
/// Releases an address range; regions are split at its ends. NC-230.
131 "rgnFree" rgn_free User blocks (actor_cap: In<KnCap>, region: In<KnRgnDesc>) [Inval, Unknown, Round, Size, Addr, Fault, NoMem, Priv];
/// Bytes of a page.
132 "vmPageSize" vm_page_size User returns () [];
/// Memory totals of the site.
133 "vmStat" vm_stat User returns (stat: Out<KnVmStat>) [Fault];
/// Sets the protection of a range. NC-231.
134 "rgnSetProtect" rgn_set_protect User blocks (actor_cap: In<KnCap>, region: In<KnRgnDesc>) [Inval, Unknown, Round, Size, Addr, Prot, NoMem, Fault, Priv];
/// Says what a duplicate of the actor's memory gets of a range. NC-237.
135 "rgnSetInherit" rgn_set_inherit User returns (actor_cap: In<KnCap>, region: In<KnRgnDesc>) [Inval, Unknown, Round, Size, Addr, NoMem, Fault, Priv];
/// Keeps two words with a range.
136 "rgnSetOpaque" rgn_set_opaque User returns (actor_cap: In<KnCap>, region: In<KnRgnDesc>) [Inval, Unknown, Round, Size, Addr, NoMem, Fault, Priv];
/// Makes and fixes the pages of a range, or lets them go again. NC-240.
137 "rgnSetPaging" rgn_set_paging User returns (actor_cap: In<KnCap>, region: In<KnRgnDesc>) [Inval, Unknown, Round, Size, Addr, NoMem, Fault, Priv];
/// Describes the regions in a range; returns how many there are. NC-015, NC-232.
138 "rgnStat" rgn_stat User returns (actor_cap: In<KnCap>, region: In<KnRgnDesc>, stat: Out<KnRgnStat>, stat_size: u32) [Inval, Unknown, Fault, Priv];
/// Copies bytes from actor to actor.
139 "vmCopy" vm_copy User returns (src_actor: In<KnCap>, src: u64, dst_actor: In<KnCap>, dst: u64, size: u64) [Inval, Unknown, Addr, Prot, Size, NoMem, Fault, Priv];
/// Fixes the pages of a range where they are.
140 "vmLock" vm_lock User returns (actor_cap: In<KnCap>, address: u64, size: u64, flags: u32) [Inval, Unknown, Round, Size, Addr, Prot, NoMem, Fault, Priv];
/// Takes one lock from each page of a range.
141 "vmUnLock" vm_un_lock User returns (actor_cap: In<KnCap>, address: u64, size: u64) [Inval, Unknown, Round, Size, Addr, Fault, Priv];
/// Physical address of a resident page.
142 "vmPhysAddr" vm_phys_addr Supervisor returns (actor_cap: In<KnCap>, address: u64, physical: Out<u64>) [Inval, Unknown, Addr, Fault, Priv];
/// Creates a region with a deferred copy of a range of an actor. NC-233…235.
143 "rgnInitFromActor" rgn_init_from_actor User returns (target: In<KnCap>, target_region: InOut<KnRgnDesc>, source: In<KnCap>, source_region: In<KnRgnDesc>) [Inval, Unknown, Round, Size, Addr, Overlap, Space, NoMem, Fault, Priv];
/// Creates a region that shares a range of an actor. NC-236.
144 "rgnMapFromActor" rgn_map_from_actor User returns (target: In<KnCap>, target_region: InOut<KnRgnDesc>, source: In<KnCap>, source_region: In<KnRgnDesc>) [Inval, Unknown, Round, Size, Addr, Overlap, Space, NoMem, Fault, Priv];
/// Duplicates the memory of an actor into an actor without any. NC-237, NC-238.
145 "rgnDup" rgn_dup User returns (target: In<KnCap>, source: In<KnCap>, flags: u32) [Inval, Unknown, NoMem, Fault, Priv];
/// Creates a region with a deferred copy of a part of a segment. NC-251.
146 "rgnInit" rgn_init User blocks (actor_cap: In<KnCap>, region: InOut<KnRgnDesc>, segment: In<KnObjDesc>) [Inval, Unknown, Round, Size, Addr, Overlap, Space, Offset, Mapper, NoMem, Fault, Priv];
/// Creates a region that shows a part of a segment. NC-242…244.
147 "rgnMap" rgn_map User blocks (actor_cap: In<KnCap>, region: InOut<KnRgnDesc>, segment: In<KnObjDesc>) [Inval, Unknown, Round, Size, Addr, Overlap, Space, Offset, Mapper, NoMem, Fault, Priv];
/// Reads bytes of a segment; returns how many. NC-245.
148 "sgRead" sg_read User blocks (segment: In<KnObjDesc>, dst_actor: In<KnCap>, dst: u64, flags: u32) [Inval, Unknown, Addr, Prot, Size, Offset, Mapper, NoMem, Fault, Priv];
/// Writes bytes of a segment; returns how many. NC-246.
149 "sgWrite" sg_write User blocks (src_actor: In<KnCap>, src: u64, segment: In<KnObjDesc>, flags: u32) [Inval, Unknown, Addr, Prot, Size, Offset, Mapper, NoMem, Fault, Priv];
/// Describes the cache of a segment on this site. NC-252.
150 "sgStat" sg_stat User returns (segment: In<KnCap>, stat: Out<KnLcStat>) [Unknown, Fault];
/// Pushes out what a segment's mapper does not have. NC-247, NC-248, NC-258.
151 "sgFlush" sg_flush User blocks (segment: In<KnObjDesc>, flags: u32, order: u64) [Inval, Unknown, Round, Mapper, NoMem, Fault, Priv];
/// Pushes out all segments of the site.
152 "sgSyncAll" sg_sync_all System blocks () [Mapper, NoMem, Priv];
/// Flushes the segments that are shown in a range.
153 "vmFlush" vm_flush User blocks (actor_cap: In<KnCap>, address: u64, size: u64, flags: u32) [Inval, Unknown, Round, Size, Addr, Mapper, NoMem, Fault, Priv];
/// Keeps the cache of a segment, and gives an LI for it.
154 "lcOpen" lc_open Supervisor returns (segment: In<KnCap>, flags: u32, cache_li: Out<i32>) [Inval, Unknown, NoMem, Fault, Priv];
/// Gives back what `lcOpen` gave.
155 "lcClose" lc_close Supervisor returns (cache_li: i32) [Inval, Priv];
/// Writes the capability of a cache itself.
156 "lcCap" lc_cap Supervisor returns (cache_li: i32, cache_cap: Out<KnCap>) [Inval, Fault, Priv];
/// As `sgRead`, of an open cache.
157 "lcRead" lc_read Supervisor blocks (cache_li: i32, offset: u64, dst_actor: In<KnCap>, dst: u64, size: InOut<u64>) [Inval, Unknown, Addr, Prot, Size, Offset, Mapper, NoMem, Fault, Priv];
/// As `sgWrite`, of an open cache.
158 "lcWrite" lc_write Supervisor blocks (cache_li: i32, offset: u64, src_actor: In<KnCap>, src: u64, size: InOut<u64>) [Inval, Unknown, Addr, Prot, Size, Offset, Mapper, NoMem, Fault, Priv];
/// As `sgFlush`, of the cache with a capability. NC-258.
159 "lcFlush" lc_flush System blocks (cache: In<KnObjDesc>, flags: u32, order: u64) [Inval, Unknown, Round, Mapper, NoMem, Fault, Priv];

/// Time since boot; never goes back.
160 "sysTime" sys_time User returns (time: Out<KnTimeVal>) [Fault];
/// Resolution of the clock.
161 "sysTimeGetRes" sys_time_get_res User returns (resolution: Out<KnTimeVal>) [Fault];
/// Resolution of timers.
162 "timerGetRes" timer_get_res User returns (resolution: Out<KnTimeVal>) [Fault];
/// Prepares a pool of threads that wait for timers. NC-272.
163 "timerThreadPoolInit" timer_thread_pool_init User returns (pool: Out<KnThreadPool>) [Inval, Fault];
/// Waits until a timer of the pool expires; writes its cookie and how often more it expired since. NC-272.
164 "timerThreadPoolWait" timer_thread_pool_wait User blocks (pool: InOut<KnThreadPool>, cookie: Out<u64>, overrun: Out<i32>, wait_limit: In<KnTimeVal>) [Inval, Timeout, Abort, Fault];
/// Makes a timer of an actor, not armed, whose expiries go to a pool; writes its LI. NC-272…274.
165 "timerCreate" timer_create User returns (actor_cap: In<KnCap>, clock: i32, pool: InOut<KnThreadPool>, cookie: u64, timer_li: Out<i32>) [Inval, Unknown, Priv, Fault, NoMem];
/// Arms a timer, once or periodically, or disarms it with a zero value; writes the rest of the former setting. NC-272.
166 "timerSet" timer_set User returns (actor_cap: In<KnCap>, timer_li: i32, flags: i32, new_setting: In<KnITimer>, old_setting: Out<KnITimer>) [Inval, Unknown, Priv, Fault];
/// Deletes a timer: no expiry of it is delivered any more. NC-273.
167 "timerDelete" timer_delete User returns (actor_cap: In<KnCap>, timer_li: i32) [Inval, Unknown, Priv, Fault];
/// Puts a line (at most 256 bytes, cut) on the site's console log. `printf`-like formatting is the library's. NC-279.
170 "sysLog" sys_log User returns (text: In<u8>, size: u32) [Fault];
/// Counters of the site. Own addition.
171 "siteStat" site_stat User returns (stat: Out<KnSiteStat>) [Fault];
/// Ends the site with an exit code (the virtual machine ends). Own addition.
172 "siteHalt" site_halt System blocks (code: i32) [Priv];
/// Reports a boot or bench mark to the machine. Own addition.
173 "siteMark" site_mark System returns (mark: u32) [Priv];

/// Reads and sets the port to which exceptions of the actor's threads are reported; a null pointer skips that half, the null UI removes it. NC-048…052.
174 "actorExcept" actor_except User returns (actor_cap: In<KnCap>, old_port: Out<KnUniqueId>, new_port: In<KnUniqueId>) [Inval, Unknown, Fault, Priv];
/// Sets the routine `int handler(KnThreadCtx *ctx, int exc_no, KnExcReport *info)` that treats exceptions of the actor; null removes it. NC-270, NC-271.
175 "svExcHandler" sv_exc_handler Supervisor returns (actor_cap: In<KnCap>, routine: u64) [Inval, Unknown, Priv, Fault, NoMem];
/// Sets the routine `void handler(KnThreadCtx *ctx)` that runs when an aborted thread of the actor goes back to its own code; null removes it.
176 "svAbortHandler" sv_abort_handler Supervisor returns (actor_cap: In<KnCap>, routine: u64) [Inval, Unknown, Priv, Fault, NoMem];
/// Connects a LAP to the exceptions of an actor, at a place of its vector; they are tried in its order. NC-270, NC-271.
177 "svActorExcHandlerConnect" sv_actor_exc_handler_connect Supervisor returns (actor_cap: In<KnCap>, index: i32, lap: In<KnLapDesc>) [Inval, Unknown, Busy, Priv, Fault];
/// Disconnects the LAP at a place of the vector; null: whichever it is.
178 "svActorExcHandlerDisconnect" sv_actor_exc_handler_disconnect Supervisor returns (actor_cap: In<KnCap>, index: i32, lap: In<KnLapDesc>) [Inval, Unknown, Priv, Fault];
/// Writes the LAP at a place of the vector. NC-271.
179 "svActorExcHandlerGetConnected" sv_actor_exc_handler_get_connected Supervisor returns (actor_cap: In<KnCap>, index: i32, lap: Out<KnLapDesc>) [Inval, Unknown, Priv, Fault];

/// Describes device `index` of the machine; returns 0. Own addition.
180 "devGet" dev_get System returns (index: i32, device: Out<KnDevDesc>) [Inval, Priv, Fault];
/// Maps registers of a device into the caller's space, uncached; returns 0. Own addition.
181 "devMap" dev_map System returns (base: u64, size: u64, address: Out<u64>) [Inval, Priv, Fault, Space, NoMem];
/// Allocates physically contiguous, zeroed memory for a device to access; writes its address and physical address. Own addition.
182 "devMemory" dev_memory System returns (size: u64, address: Out<u64>, physical: Out<u64>) [Priv, Fault, Space, NoMem, Size];

/// Connects a LAP to the aborts of an actor's threads, at a place of its vector; all of them run, in its order.
183 "svActorAbortHandlerConnect" sv_actor_abort_handler_connect Supervisor returns (actor_cap: In<KnCap>, index: i32, lap: In<KnLapDesc>) [Inval, Unknown, Busy, Priv, Fault];
/// Disconnects the LAP at a place of the vector; null: whichever it is.
184 "svActorAbortHandlerDisconnect" sv_actor_abort_handler_disconnect Supervisor returns (actor_cap: In<KnCap>, index: i32, lap: In<KnLapDesc>) [Inval, Unknown, Priv, Fault];
/// Writes the LAP at a place of the vector.
185 "svActorAbortHandlerGetConnected" sv_actor_abort_handler_get_connected Supervisor returns (actor_cap: In<KnCap>, index: i32, lap: Out<KnLapDesc>) [Inval, Unknown, Priv, Fault];

/// Makes the caller's actor the driver of a device interrupt, which `devWait` waits for. Own addition.
186 "devAttach" dev_attach System returns (irq: u32) [Inval, Busy, NoMem, Priv];
/// Waits for an interrupt of the device; returns how many came since the last return. Own addition.
187 "devWait" dev_wait System blocks (irq: u32, wait_limit: In<KnTimeVal>) [Inval, Busy, Timeout, Abort, Fault, Priv];
/// Reads 1, 2 or 4 bytes from an I/O port of a device. Own addition.
188 "devIn" dev_in System returns (port: u32, size: u32, value: Out<u32>) [Inval, Size, Fault, Priv];
/// Writes 1, 2 or 4 bytes to an I/O port of a device. Own addition.
189 "devOut" dev_out System returns (port: u32, size: u32, value: u32) [Inval, Size, Priv];
/// Makes the caller's actor the Network Manager of the site; `irq` is the device interrupt that `nmWait` reports too, or -1. What the cluster told the site goes into `seat`, unless it is null. Own addition.
190 "nmAttach" nm_attach System returns (irq: i32, seat: Out<KnNetSeat>) [Inval, Busy, Fault, Priv];
/// Waits until there is an outbound item (bit 0) or the device interrupt fired (bit 1); returns the bits and clears bit 1. Own addition.
191 "nmWait" nm_wait System blocks (wait_limit: In<KnTimeVal>) [Inval, Timeout, Abort, Fault, Priv];
/// Takes the next outbound item; returns the bytes of its body, or K_ETIMEOUT when there is none. K_ETOOMUCH (item kept) if the room is too small. Own addition.
192 "nmTake" nm_take System returns (item: Out<KnNetItem>, body: Out<u8>, room: u32) [Inval, Timeout, TooMuch, Fault, Priv];
/// Hands in a message from the network, or a port. K_EUNKNOWN: the port is not here, the group has no member here. Own addition.
193 "nmDeliver" nm_deliver System returns (item: In<KnNetItem>, body: In<u8>) [Inval, Unknown, Full, TooMuch, Fault, Priv, NoMem];
/// Ends a local client's call with a reply or an error, or the move of a port. K_EUNKNOWN: the client has gone. Own addition.
194 "nmComplete" nm_complete System returns (item: In<KnNetItem>, body: In<u8>) [Inval, Unknown, TooMuch, Fault, Priv];
/// Not 0 if messages to the UI can be delivered here (the site, a port here, a group with a member here): 1, of a port 1 and how often it moved between sites. What is only declared, or arrives, is not here. Own addition.
195 "nmQuery" nm_query System returns (ui: In<KnUniqueId>) [Inval, Fault, Priv];

/// Connects a routine `void handler(KnMsgDesc *msg, void *cookie)` of a supervisor actor to one of its ports; null disconnects. NC-124, NC-203, NC-220…223.
196 "svMsgHandler" sv_msg_handler Supervisor blocks (actor_cap: In<KnCap>, port_li: i32, handler: u64, stack_size: u32, cookie: u64) [Inval, Unknown, Busy, Priv, Fault, NoMem];
/// Inside a message handler: prepares the reply that the client gets when the routine returns; the last one counts. NC-223.
197 "svMsgHdlReply" sv_msg_hdl_reply Supervisor returns (msg: In<KnMsgDesc>) [Inval, TooMuch, Fault, Priv, NoMem];
/// Takes the oldest queued message of a port with a handler, waiting for one, and calls the handler with it in the caller's thread. Own addition.
198 "svMsgServe" sv_msg_serve Supervisor blocks (port_li: i32) [Inval, NoPort, Priv, NoMem];
/// Has a LAP called at interrupt level, once, when a delay has passed.
199 "svSysTimeoutSet" sv_sys_timeout_set Supervisor returns (desc: InOut<KnTimeout>, delay: In<KnTimeVal>, flags: i32, handler: In<KnLapDesc>) [Inval, Busy, Priv, Fault, NoMem];
/// Takes it back: the handler does not start any more.
200 "svSysTimeoutCancel" sv_sys_timeout_cancel Supervisor returns (desc: In<KnTimeout>) [Inval, Priv, Fault];
/// Resolution of system timeouts.
201 "svTimeoutGetRes" sv_timeout_get_res Supervisor returns (resolution: Out<KnTimeVal>) [Priv, Fault];
/// The link to a site broke: calls to ports there end with K_ELINKFAILURE, and requests of that site have no client any more. NC-280.
202 "svLinkFailure" sv_link_failure Supervisor returns (site: u32, reason: i32) [Inval, Full, Priv];

/// Takes rights from a part of a cache.
210 "lcSetRights" lc_set_rights System returns (cache: In<KnObjDesc>, access: u32, flags: u32, order: u64) [Inval, Unknown, Round, Fault, Priv];
/// Shapes the end of a segment in a cache.
211 "lcTrunc" lc_trunc System returns (cache: In<KnObjDesc>, zero_offset: u64, flags: u32, order: u64) [Inval, Unknown, Round, NoMem, Fault, Priv];
/// Zeros a part of a cache without asking for it.
212 "lcFillZero" lc_fill_zero System returns (cache: In<KnObjDesc>) [Unknown, Round, Size, NoMem, Fault, Priv];
/// Describes the cache with a capability.
213 "lcStat" lc_stat User returns (cache: In<KnCap>, stat: Out<KnLcStat>) [Unknown, Fault];
/// Gives pages of one cache to another, in answer to a pull-in.
214 "lcPushData" lc_push_data System returns (source: In<KnObjDesc>, source_flags: u32, target: In<KnObjDesc>, target_flags: u32, pull_in_id: u64, order: u64) [Inval, Unknown, Round, NoMem, Fault, Priv];

/// Connects a routine `int handler(KnThreadCtx *ctx, unsigned trap_no)` to a trap; it runs on the trapping thread, in the caller's actor. NC-265, NC-266, NC-268, NC-269.
220 "svTrapConnect" sv_trap_connect Supervisor returns (trap_no: u32, routine: u64) [Inval, Busy, Priv, NoMem];
/// Disconnects it; returns when no thread is inside.
221 "svTrapDisConnect" sv_trap_dis_connect Supervisor blocks (trap_no: u32, routine: u64) [Inval, Priv];
/// Connects a routine to an index of a trap's table: the trapping thread's rax picks it. NC-267. Own addition.
222 "svTrapTabConnect" sv_trap_tab_connect Supervisor returns (trap_no: u32, index: u32, routine: u64) [Inval, Busy, Priv, NoMem];
/// Disconnects it; returns when no thread is inside. Own addition.
223 "svTrapTabDisConnect" sv_trap_tab_dis_connect Supervisor blocks (trap_no: u32, index: u32) [Inval, Priv];
/// Connects a LAP to a trap; its argument is a `KnSysTrapDesc`. NC-266.
224 "svSysTrapHandlerConnect" sv_sys_trap_handler_connect Supervisor returns (trap_no: u32, lap: In<KnLapDesc>) [Inval, Busy, Priv, Fault];
/// Disconnects it (null: whichever it is); returns when no thread is inside.
225 "svSysTrapHandlerDisconnect" sv_sys_trap_handler_disconnect Supervisor blocks (trap_no: u32, lap: In<KnLapDesc>) [Inval, Priv, Fault];
/// Writes the LAP that is connected to a trap.
226 "svSysTrapHandlerGetConnected" sv_sys_trap_handler_get_connected Supervisor returns (trap_no: u32, lap: Out<KnLapDesc>) [Inval, Priv, Fault];

/// Makes a local access point: a routine `void handler(void *arg, void *cookie)` of a supervisor actor that threads of others call. NC-276.
230 "svLapCreate" sv_lap_create Supervisor returns (actor_cap: In<KnCap>, handler: u64, cookie: u64, options: u32, lap: Out<KnLapDesc>) [Inval, Unknown, Priv, Fault, NoMem];
/// Deletes a LAP; a safe one's deletion returns when no call is inside. NC-276.
231 "svLapDelete" sv_lap_delete Supervisor blocks (lap: In<KnLapDesc>) [Inval, Priv, Fault];
/// Calls a LAP in the caller's thread; from user mode only safe ones. NC-276.
232 "lapInvoke" lap_invoke User blocks (lap: In<KnLapDesc>, arg: u64) [Inval, Abort, Fault, NoMem];
/// Binds a name of at most 7 characters to a LAP, on this site. NC-277, NC-278.
233 "svLapBind" sv_lap_bind Supervisor returns (lap: In<KnLapDesc>, name: In<u8>, options: u32) [Inval, Busy, Priv, Fault, NoMem];
/// Takes a name away.
234 "svLapUnbind" sv_lap_unbind Supervisor returns (name: In<u8>) [Inval, Unknown, Priv, Fault, NoMem];
/// Writes the LAP with this name, waiting for it to be bound. NC-277, NC-278.
235 "lapResolve" lap_resolve User blocks (lap: Out<KnLapDesc>, name: In<u8>, options: u32) [Inval, Abort, Unknown, Fault, NoMem];
/// Reads and sets the most pages of memory that an actor may own; 0: as many as there are. A null pointer skips that half. Own addition.
236 "actorLimit" actor_limit User returns (actor_cap: In<KnCap>, old_limit: Out<u32>, new_limit: In<u32>) [Inval, Unknown, Priv, Fault];

/// Attaches a handler `int handler(void *cookie)` to a vector of a device interrupt. NC-275.
240 "svIntrAttach" sv_intr_attach Supervisor returns (intr: u32, handler: u64, cookie: u64, ops: Out<KnIntrOps>, id: Out<u64>) [Inval, Priv, Fault, NoMem];
/// Detaches it; returns when it does not run.
241 "svIntrDetach" sv_intr_detach Supervisor blocks (id: u64) [Inval, Priv];
/// Holds an attached interrupt back. Own name for a service of `CpuIntrOps`.
242 "svIntrMask" sv_intr_mask Supervisor returns (id: u64) [Inval, Priv];
/// Lets it through again; one that came meanwhile comes now. Own name for a service of `CpuIntrOps`.
243 "svIntrUnmask" sv_intr_unmask Supervisor returns (id: u64) [Inval, Priv];
/// Declares a soft interrupt: work that an interrupt handler puts off.
245 "svSoftIntrDeclare" sv_soft_intr_declare Supervisor returns (soft: InOut<KnSoftIntr>) [Inval, Priv, Fault, NoMem];
/// Has its handler run before the processor goes back to a thread; last triggered, first run.
246 "svSoftIntrTrigger" sv_soft_intr_trigger Supervisor returns (soft: In<KnSoftIntr>) [Inval, Priv, Fault];
/// Ends it; returns when its handler does not run.
247 "svSoftIntrForget" sv_soft_intr_forget Supervisor blocks (soft: In<KnSoftIntr>) [Inval, Priv, Fault];
    } };
}

/// `true` for the word `blocks`.
macro_rules! blocking {
    (blocks) => {
        true
    };
    (returns) => {
        false
    };
}

macro_rules! as_data {
    ($($(#[doc = $doc:literal])* $number:literal $name:literal $rust:ident $privilege:ident $blocks:ident
        ($($arg:ident : $type:ty),*) [$($error:ident),*];)*) => {
        /// The table as data, in ascending order of numbers.
        pub const CALLS: &[Call] = &[$(Call {
            number: $number,
            name: $name,
            rust: stringify!($rust),
            arguments: &[$(Argument {
                name: stringify!($arg),
                rust: stringify!($type),
                c: <$type as crate::args::Arg>::C,
                pointer: <$type as crate::args::Arg>::POINTER,
            }),*],
            privilege: Privilege::$privilege,
            blocks: blocking!($blocks),
            errors: &[$(KError::$error),*],
            contract: &[$($doc),*],
        }),*];

        /// Numbers of the calls by their Rust names.
        #[allow(missing_docs, non_upper_case_globals, reason = "one constant a row, named by the row")]
        pub mod number { $(pub const $rust: u16 = $number;)* }
    };
}
mod rows {
    use super::{Argument, Call, KError, Privilege};
    use crate::args::{In, InOut, Out};
    use crate::net::{KnNetItem, KnNetSeat};
    use crate::types::*;
    chorus_calls!(as_data);
}
pub use rows::{CALLS, number};

/// One more than the largest call number: the size of tables indexed by it.
pub const CALL_LIMIT: usize = 256;

/// The row with this number.
pub fn by_number(number: u16) -> Option<&'static Call> {
    CALLS
        .binary_search_by_key(&number, |call| call.number)
        .ok()
        .map(|index| &CALLS[index])
}

/// The row with this Chorus name.
pub fn by_name(name: &str) -> Option<&'static Call> {
    CALLS.iter().find(|call| call.name == name)
}

/// Fingerprint of the table (FNV-1a over numbers, names and argument types): an image and a Nucleus that disagree refuse each other.
pub const fn fingerprint() -> u64 {
    const fn mix(mut hash: u64, text: &str) -> u64 {
        let bytes = text.as_bytes();
        let mut index = 0;
        while index < bytes.len() {
            hash = (hash ^ bytes[index] as u64).wrapping_mul(0x100_0000_01b3);
            index += 1;
        }
        hash
    }
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut row = 0;
    while row < CALLS.len() {
        let call = &CALLS[row];
        hash = mix(hash ^ call.number as u64, call.name);
        let mut argument = 0;
        while argument < call.arguments.len() {
            hash = mix(hash, call.arguments[argument].rust);
            argument += 1;
        }
        row += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_ascend_and_fit() {
        assert!(CALLS.windows(2).all(|pair| pair[0].number < pair[1].number));
        for call in CALLS {
            assert!((call.number as usize) < CALL_LIMIT);
            assert!(
                call.arguments.len() <= 6,
                "{} has more arguments than registers",
                call.name
            );
            assert!(!call.contract.is_empty(), "{} has no contract", call.name);
            assert_eq!(by_name(call.name), Some(call));
            assert_eq!(by_number(call.number), Some(call));
        }
    }
}
