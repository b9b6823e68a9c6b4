/* Protobuf messages to bytes and back, within bounds. The only block that includes generated code's runtime; blocks
 * above use the generated structs through this header. Any thread. */
#ifndef TRIB_WIRE_MESSAGE_H
#define TRIB_WIRE_MESSAGE_H

#include "base/buf.h"
#include "base/status.h"
#include "tributary/v1/federation.pb-c.h"
#include "tributary/v1/model.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"

/* The versions of the protocol that are spoken here: what both sides know of it decides (Hello, Welcome). */
enum { TRIB_PROTOCOL_LEAST = 1, TRIB_PROTOCOL_VERSION = 1 };
enum { TRIB_TASK_DELTAS = 128 /* the most that a task lists */ };

/* Generated structs have char * and uint8_t * also where packing only reads: these lend them const data. */
char *trib_message_lend(const char *text);
ProtobufCBinaryData trib_message_lend_bytes(const uint8_t *bytes, size_t len);

/* gRPC paths. */
#define TRIB_PATH_SESSION      "/tributary.v1.Federation/Session"
#define TRIB_PATH_DOWNLOAD     "/tributary.v1.Federation/Download"
#define TRIB_PATH_UPLOAD       "/tributary.v1.Federation/Upload"
#define TRIB_PATH_HEALTH_CHECK "/grpc.health.v1.Health/Check"
#define TRIB_PATH_HEALTH_WATCH "/grpc.health.v1.Health/Watch"

/* Append a message's bytes to buf. */
TRIB_MUST_CHECK enum trib_status trib_message_pack(const ProtobufCMessage *message, struct trib_buf *buf);
/* Parse bytes as the described message. What it may allocate is bounded by 32 times its length plus 64 KiB, so that
 * no message can expand. TRIB_PROTOCOL names the type. Free with trib_message_free. */
TRIB_MUST_CHECK enum trib_status trib_message_unpack(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes,
                                                     size_t len, ProtobufCMessage **message, struct trib_error *error);
void trib_message_free(ProtobufCMessage *message); /* NULL is allowed */

#endif
