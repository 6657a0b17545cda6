/* Shared by the loops of servers. */
#ifndef LIBCHORUS_MESSAGE_H
#define LIBCHORUS_MESSAGE_H

/* Whether the sender of the current message waits for a reply. */
int chorus_reply_awaited(void);

#endif
