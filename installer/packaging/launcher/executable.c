/* The executable file: where it lies, and what its footer tells. installer/executable.py writes that footer. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher.h"

#define FOOTER 512

static int same_file(const char *path, const struct stat *other) {
    struct stat found;
    return stat(path, &found) == 0 && found.st_dev == other->st_dev && found.st_ino == other->st_ino;
}

/* As it was called, so that a link to the current version stays one; else where it really lies. */
static void find_path(struct executable *self, const struct stat *file, const char *called) {
    char folder[PATH_MAX];
    int length = -1;
    if (called[0] == '/' && strncmp(called, "/proc/", 6) && strncmp(called, "/dev/", 5))
        length = snprintf(self->path, PATH_MAX, "%s", called);
    else if (called[0] != '/' && getcwd(folder, PATH_MAX)) {
        while (strncmp(called, "./", 2) == 0)
            called += 2;
        length = snprintf(self->path, PATH_MAX, "%s/%s", strcmp(folder, "/") ? folder : "", called);
    }
    if (length > 0 && length < PATH_MAX && same_file(self->path, file))
        return;
    ssize_t count = readlink("/proc/self/exe", self->path, PATH_MAX - 1);
    if (count < 0)
        fail("cannot find its own file: %s", strerror(errno));
    self->path[count] = 0;
}

static void read_footer(struct executable *self, unsigned long long size) {
    char text[FOOTER + 1] = "";
    unsigned long long total = 0;
    if (size < FOOTER || pread(self->fd, text, FOOTER, (off_t)(size - FOOTER)) != FOOTER)
        text[0] = 0;
    int found = sscanf(text, "k0rdentd executable, format 1 total %llu unpacked %llu runtime %llu %llu %64s",
                       &total, &self->unpacked, &self->runtime.offset, &self->runtime.size, self->runtime.sha256);
    if (found != 5 || total != size || strlen(self->runtime.sha256) != 64 ||
        self->runtime.offset + self->runtime.size > size)
        fail("%s is not complete: it has %llu bytes, and not those at its end that every copy has: "
             "copy it again, and compare its SHA-256", self->path, size);
    snprintf(self->id, sizeof self->id, "%.32s", self->runtime.sha256);
}

void open_executable(struct executable *self, const char *called) {
    struct stat file;
    self->fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (self->fd < 0 && errno == ENOENT)
        fail("/proc is missing: mount it (mount -t proc proc /proc)");
    if (self->fd < 0 || fstat(self->fd, &file))
        fail("cannot read its own file: %s", strerror(errno));
    find_path(self, &file, called);
    read_footer(self, (unsigned long long)file.st_size);
}
