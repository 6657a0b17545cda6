
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
