/* A condition that ends the actor when it does not hold. May be included again with another NDEBUG. */
#undef assert
#ifdef NDEBUG
#define assert(CONDITION) ((void)0)
#else
#define assert(CONDITION) ((CONDITION) ? (void)0 : chorus_assertion(#CONDITION, __FILE__, __LINE__))
#endif
#ifndef LIBCHORUS_ASSERT_H
#define LIBCHORUS_ASSERT_H
void chorus_assertion(const char *condition, const char *file, int line) __attribute__((noreturn));
#endif
