/* Received messages, for the other files of this block. */
#ifndef TRIB_NET_MESSAGE_H
#define TRIB_NET_MESSAGE_H

#include "net/net.h"

#include <grpc/byte_buffer.h>

/* trib_net_message_take takes the buffer over in every case; NULL when memory is short or the buffer is compressed
 * (which the channel arguments forbid to offer, so that only a hostile peer sends it). */
struct trib_net_message *trib_net_message_take(grpc_byte_buffer *buffer);

#endif
