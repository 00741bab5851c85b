/* What the parts of the launcher know of each other. */

#ifndef LAUNCHER_H
#define LAUNCHER_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

/* Part of the executable file, as its footer tells. */
struct section {
    unsigned long long offset, size;
    char sha256[65];
};

/* The executable file itself. */
struct executable {
    char path[PATH_MAX];
    int fd;
    struct section runtime;
    unsigned long long unpacked; /* bytes that the runtime takes on a disk */
    char id[33];                 /* of the runtime, and the name of its folder */
};

/* Set by SIGINT, SIGTERM and SIGHUP while something is being unpacked. */
extern volatile int interrupted;

/* One sentence on standard error, and exit code 1. */
noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* executable.c */
void open_executable(struct executable *self, const char *called);

/* place.c: the folder of the runtime, which is unpacked if it is nowhere yet. */
void find_runtime(const struct executable *self, char runtime[PATH_MAX]);

/* unpack.c: NULL, or why it did not work. `folder` is what the runtime will be called once it is complete. */
const char *unpack(const struct executable *self, const char *partial, const char *folder);

/* remove.c */
void remove_tree(const char *path);
void prune(const char *place, const char *id);

/* sha256.c */
struct sha256 {
    uint32_t state[8];
    uint64_t length;
    unsigned char block[64];
};
void sha256_begin(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const unsigned char *bytes, size_t count);
void sha256_end(struct sha256 *hash, char hex[65]);

#endif
