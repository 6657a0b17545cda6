/* What only a supervisor actor may do: a local access point that threads call, and a handler of another actor's exceptions. Elsewhere it is refused. */
#include <libchorus.h>
#include <stdio.h>

static int treated;
static KnExcReport last;

/* Runs in the thread concerned, in ring 0: no text from here. */
static int treat(KnThreadCtx *context, int exc_no, const KnExcReport *report)
{
    (void)context;
    treated = exc_no;
    last = *report;
    /* Not for us to mend: the actor ends. */
    return K_EXC_NOTHANDLED;
}

typedef struct Pair {
    int one, other, sum;
} Pair;

static void add(void *argument, void *cookie)
{
    Pair *pair = argument;
    pair->sum = pair->one + pair->other + *(int *)cookie;
}

static void access_point(void)
{
    int extra = 100;
    KnLapDesc lap = { 0 }, found = { 0 };
    int result = svLapCreate(K_MYACTOR, (unsigned long)add, (unsigned long)&extra, K_LAP_SAFE, &lap);
    printf("svLapCreate: %s\n", chorus_error(result));
    if (result < 0)
        return;
    result = svLapBind(&lap, "adder", 0);
    int resolved = lapResolve(&found, "adder", K_LAP_NOBLOCK);
    printf("bound: %s, resolved: %s\n", chorus_error(result), chorus_error(resolved));
    Pair pair = { 20, 3, 0 };
    result = lapInvoke(&found, (unsigned long)&pair);
    printf("lapInvoke: %s, %d\n", chorus_error(result), pair.sum);
    svLapUnbind("adder");
    svLapDelete(&lap);
    printf("deleted: %s\n", chorus_error(lapInvoke(&found, (unsigned long)&pair)));
}

static void exceptions(void)
{
    KnCap child;
    int result = actorCreate(K_MYACTOR, &child, K_USERACTOR, K_ACTIVE);
    int set = svExcHandler(&child, (unsigned long)treat);
    printf("child: %s, svExcHandler: %s\n", chorus_error(result), chorus_error(set));
    if (set < 0) {
        actorDelete(&child);
        return;
    }
    /* Its first instruction lies in no region. */
    int thread = threadCreate(&child, K_USERTHREAD, K_ACTIVE, 0, 0x5000, 0x9000);
    for (int tries = 0; tries < 200 && !treated; tries++)
        chorus_sleep(5);
    printf("exception %d at %#lx, in the child: %d, in its thread: %d\n", treated, last.pc, uiEqual(&last.actor_cap.ui, &child.ui),
           last.thread_li == thread);
    KnThreadStat stat;
    int threads = 1;
    for (int tries = 0; tries < 200 && threads >= 0; tries++) {
        chorus_sleep(5);
        threads = threadStat(&child, &stat, 1);
    }
    printf("nobody else treats it: the child is gone, %s\n", chorus_error(threads));
}

int main(void)
{
    printf("supervisor: %d\n", chorus_start->kind == K_SUPACTOR);
    access_point();
    exceptions();
    return 0;
}
