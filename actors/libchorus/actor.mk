# How an actor in C is compiled and linked: included by the makefiles of programs.
#
#   LIBCHORUS = path of this folder      where it is
#   include $(LIBCHORUS)/actor.mk
#   my-actor: my-actor.c                 $(ACTOR_CC) makes it from its sources, $(LIBCHORUS)/libchorus.a behind them
include $(LIBCHORUS)/flags.mk

# The library, made when it is older than its sources.
$(ACTOR_LIB): $(wildcard $(LIBCHORUS)/src/*) $(ACTOR_HEADERS)
	$(MAKE) -C $(LIBCHORUS) libchorus.a
