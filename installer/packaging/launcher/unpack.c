/* The runtime archive, a tar compressed with zstd, to a folder. */

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "launcher.h"

#define BLOCK 512

static const char STOPPED[] = "interrupted", DAMAGED[] = "its archive is damaged: copy the executable again";

/* The archive as it is read: compressed bytes are hashed on their way. */
struct stream {
    int fd;
    unsigned long long at, end;
    struct sha256 hash;
    ZSTD_DStream *zstd;
    ZSTD_inBuffer in;
    unsigned char compressed[1 << 17];
};

static int refill(struct stream *stream) {
    unsigned long long left = stream->end - stream->at;
    size_t wanted = left < sizeof stream->compressed ? (size_t)left : sizeof stream->compressed;
    ssize_t count = wanted ? pread(stream->fd, stream->compressed, wanted, (off_t)stream->at) : 0;
    if (count <= 0)
        return 0;
    sha256_add(&stream->hash, stream->compressed, (size_t)count);
    stream->at += (unsigned long long)count;
    stream->in = (ZSTD_inBuffer){stream->compressed, (size_t)count, 0};
    return 1;
}

/* All of `count` bytes, unpacked. */
static const char *take(struct stream *stream, void *bytes, size_t count) {
    ZSTD_outBuffer out = {bytes, count, 0};
    while (out.pos < out.size) {
        if (interrupted)
            return STOPPED;
        size_t before = out.pos;
        if (ZSTD_isError(ZSTD_decompressStream(stream->zstd, &out, &stream->in)))
            return DAMAGED;
        if (out.pos == before && stream->in.pos == stream->in.size && !refill(stream))
            return DAMAGED;
    }
    return NULL;
}

static const char *write_file(struct stream *stream, const char *path, unsigned long long size, mode_t mode) {
    static unsigned char bytes[1 << 17];
    const char *error = NULL;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return strerror(errno);
    for (unsigned long long left = size; left && !error;) {
        size_t piece = left < sizeof bytes ? (size_t)left : sizeof bytes;
        error = take(stream, bytes, piece);
        if (!error && write(fd, bytes, piece) != (ssize_t)piece)
            error = errno ? strerror(errno) : "the disk is full";
        left -= piece;
    }
    if (close(fd) && !error)
        error = strerror(errno);
    return error;
}

static const char *write_entry(struct stream *stream, const char *partial, const char header[BLOCK]) {
    char path[PATH_MAX], padding[BLOCK];
    const char *error = NULL;
    unsigned long long size = strtoull(header + 124, NULL, 8);
    mode_t mode = (mode_t)strtoul(header + 100, NULL, 8) & 0777;
    snprintf(path, sizeof path, "%s/%.155s%s%.100s", partial, header + 345, header[345] ? "/" : "", header);
    if (strstr(path, "/../"))
        return DAMAGED;
    if (header[156] == '5')
        return mkdir(path, 0755) ? strerror(errno) : NULL;
    if (header[156] != '0')
        return DAMAGED;
    error = write_file(stream, path, size, mode);
    return error || size % BLOCK == 0 ? error : take(stream, padding, BLOCK - size % BLOCK);
}

static const char *write_entries(struct stream *stream, const char *partial) {
    char header[BLOCK];
    for (;;) {
        const char *error = take(stream, header, BLOCK);
        if (error || !header[0])
            return error;
        error = write_entry(stream, partial, header);
        if (error)
            return error;
    }
}

/* The kernel wants the loader's absolute path, which is known only now. The build left room for it. */
static const char *name_loader(const char *partial, const char *folder) {
    char path[PATH_MAX], loader[PATH_MAX] = "";
    Elf64_Ehdr head;
    Elf64_Phdr part;
    snprintf(path, sizeof path, "%s/bin/python3", partial);
    int length = snprintf(loader, sizeof loader, "%s/lib/ld.so", folder);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || pread(fd, &head, sizeof head, 0) != sizeof head)
        return DAMAGED;
    for (int i = 0; i < head.e_phnum; i++) {
        off_t at = (off_t)(head.e_phoff + (Elf64_Off)i * sizeof part);
        if (pread(fd, &part, sizeof part, at) != sizeof part || part.p_type != PT_INTERP)
            continue;
        if ((Elf64_Xword)length >= part.p_filesz || part.p_filesz > sizeof loader)
            return "the path of the folder is too long";
        ssize_t written = pwrite(fd, loader, part.p_filesz, (off_t)part.p_offset);
        return close(fd) || written != (ssize_t)part.p_filesz ? "the disk is full" : NULL;
    }
    return DAMAGED;
}

const char *unpack(const struct executable *self, const char *partial, const char *folder) {
    static struct stream stream;
    char sha256[65];
    stream.fd = self->fd;
    stream.at = self->runtime.offset;
    stream.end = self->runtime.offset + self->runtime.size;
    stream.zstd = ZSTD_createDStream();
    sha256_begin(&stream.hash);
    if (!stream.zstd)
        return "no memory";
    if (mkdir(partial, 0755))
        return strerror(errno);
    const char *error = write_entries(&stream, partial);
    while (!error && refill(&stream))
        ;
    sha256_end(&stream.hash, sha256);
    if (!error && strcmp(sha256, self->runtime.sha256))
        error = DAMAGED;
    ZSTD_freeDStream(stream.zstd);
    return error ? error : name_loader(partial, folder);
}
