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
