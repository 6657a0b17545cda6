/* Threads that share memory: a mutex keeps a count right, a bounded buffer between producers and consumers runs by semaphores, a limit ends a wait. */
#include <libchorus.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 4
#define ROUNDS 200

static KnMutex mutex;
static KnSem done, room, filled;
static long count;
static int most_inside, inside;

static void add(void *argument)
{
    int mine = *(int *)argument;
    for (int round = 0; round < ROUNDS; round++) {
        mutexGet(&mutex);
        if (++inside > most_inside)
            most_inside = inside;
        long seen = count;
        if (round % 50 == mine)
            chorus_sleep(0);
        count = seen + 1;
        inside--;
        mutexRel(&mutex);
    }
    semV(&done);
}

/* A ring of eight numbers. */
static int ring[8];
static unsigned int head, tail;
static long consumed;

static void produce(void *argument)
{
    int first = *(int *)argument * 1000;
    for (int at = 0; at < ROUNDS; at++) {
        semP(&room, 0);
        mutexGet(&mutex);
        ring[head++ % 8] = first + at;
        mutexRel(&mutex);
        semV(&filled);
    }
    semV(&done);
}

static void consume(void *argument)
{
    (void)argument;
    for (int at = 0; at < ROUNDS; at++) {
        semP(&filled, 0);
        mutexGet(&mutex);
        consumed += ring[tail++ % 8];
        mutexRel(&mutex);
        semV(&room);
    }
    semV(&done);
}

static void start(void (*routine)(void *), int threads)
{
    static int numbers[THREADS] = { 0, 1, 2, 3 };
    for (int at = 0; at < threads; at++)
        if (chorus_thread(routine, &numbers[at], 0) < 0)
            abort();
}

static void wait_for(int threads)
{
    while (threads--)
        semP(&done, 0);
}

int main(void)
{
    mutexInit(&mutex);
    semInit(&done, 0);
    start(add, THREADS);
    wait_for(THREADS);
    printf("counted %ld of %d, at most %d inside\n", count, THREADS * ROUNDS, most_inside);

    semInit(&room, 8);
    semInit(&filled, 0);
    start(produce, 2);
    start(consume, 2);
    wait_for(4);
    printf("consumed %u numbers, sum %ld\n", tail, consumed);

    KnTimeVal limit = chorus_interval(10), now, then;
    sysTime(&now);
    int result = semP(&done, &limit);
    sysTime(&then);
    long waited = ((long)then.tm_sec - (long)now.tm_sec) * 1000000000 + (long)then.tm_nsec - (long)now.tm_nsec;
    printf("without a unit: %s, %s\n", chorus_error(result), waited >= 10000000 ? "after the limit" : "too early");
    mutexGet(&mutex);
    result = mutexTry(&mutex);
    mutexRel(&mutex);
    printf("busy: %d, then free: %d\n", result, mutexTry(&mutex));

    KnEventSet events;
    unsigned int got = 0;
    eventInit(&events);
    eventPost(&events, 5);
    result = eventWait(&events, 4 | 8, K_EVENT_OR, &got, &limit);
    printf("events: %s, %#x\n", chorus_error(result), got);
    printf("not all: %s\n", chorus_error(eventWait(&events, 4 | 8, K_EVENT_AND, &got, &limit)));
    return 0;
}
