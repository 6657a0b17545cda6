# How C of actors is compiled and linked. LIBCHORUS is the path of this folder.
CC = gcc
CHORUS_INCLUDE = $(LIBCHORUS)/../runtime/include
# Without the host's headers, without what an actor in ring 0 cannot have (FPU, red zone), with symbols and frames for gdb.
ACTOR_CFLAGS = -std=gnu11 -g -O2 -Wall -Wextra -Werror -ffreestanding -fno-tree-loop-distribute-patterns -fPIE -mno-red-zone -mgeneral-regs-only -fno-stack-protector \
	-fcf-protection=none -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections \
	-nostdinc -isystem $(shell $(CC) -print-file-name=include) -I$(LIBCHORUS)/include -I$(CHORUS_INCLUDE)
ACTOR_LDFLAGS = -nostdlib -static-pie -Wl,-z,norelro,-z,noexecstack,--gc-sections,--build-id=sha1
ACTOR_CC = $(CC) $(ACTOR_CFLAGS) $(ACTOR_LDFLAGS)
ACTOR_LIB = $(LIBCHORUS)/libchorus.a
ACTOR_HEADERS = $(wildcard $(LIBCHORUS)/include/*.h) $(CHORUS_INCLUDE)/chorus.h
