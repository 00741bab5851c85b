/* Where the runtime lies: the first folder of a short list that can hold it. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "launcher.h"

#define PLACES 5
#define DAY (24 * 3600)

static const char *const ROOTS_PLACES[] = {"/var/lib/k0rdentd/runtime", "/opt/k0rdentd/runtime", "/run/k0rdentd/runtime"};

volatile int interrupted;

struct place {
    char path[PATH_MAX];
    char why_not[PATH_MAX + 256];
    int is_roots; /* taken from where root unpacked it, and left alone where he did not */
    int made;     /* how many folders at the end of the path were made just now */
};

static int list_places(struct place places[PLACES]) {
    const char *said = getenv("K0RDENTD_RUNTIME_DIR"), *home = getenv("HOME");
    int count = 0;
    if (said && *said) {
        if (*said != '/')
            fail("K0RDENTD_RUNTIME_DIR must be an absolute path, not %s", said);
        snprintf(places[count++].path, PATH_MAX - 64, "%s", said);
        return count;
    }
    for (size_t i = 0; i < sizeof ROOTS_PLACES / sizeof *ROOTS_PLACES; i++) {
        places[count].is_roots = geteuid() != 0;
        snprintf(places[count++].path, PATH_MAX, "%s", ROOTS_PLACES[i]);
    }
    if (geteuid() == 0)
        return count;
    if (home && *home == '/')
        snprintf(places[count++].path, PATH_MAX - 64, "%s/.cache/k0rdentd", home);
    snprintf(places[count++].path, PATH_MAX, "/var/tmp/k0rdentd-%u", (unsigned)geteuid());
    return count;
}

/* Whoever can write in a folder, or in one above it, could put another program there. */
static int is_safe(const char *path, char *why_not, size_t room) {
    char prefix[PATH_MAX];
    struct stat root, found;
    if (!realpath(path, prefix) || stat("/", &root))
        return snprintf(why_not, room, "%s", strerror(errno)), 0;
    for (char *end; lstat(prefix[0] ? prefix : "/", &found) == 0; *end = 0) {
        int strange = found.st_uid != root.st_uid && found.st_uid != 0 && found.st_uid != geteuid();
        if (strange || (found.st_mode & 022 && !(found.st_mode & S_ISVTX)))
            return snprintf(why_not, room, "others may write in %s", prefix[0] ? prefix : "/"), 0;
        if (!(end = strrchr(prefix, '/')))
            return 1;
    }
    return snprintf(why_not, room, "%s", strerror(errno)), 0;
}

static int holds(const struct place *place, const char *id, char runtime[PATH_MAX]) {
    char why_not[PATH_MAX + 64];
    struct stat found;
    int length = snprintf(runtime, PATH_MAX, "%s/%s", place->path, id);
    if (length >= PATH_MAX || stat(runtime, &found) || !is_safe(runtime, why_not, sizeof why_not))
        return 0;
    if (found.st_mtime < time(NULL) - DAY)
        utimensat(AT_FDCWD, runtime, NULL, 0); /* for prune; who may not is no owner, and prunes nothing */
    return 1;
}

static int make_folders(struct place *place) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", place->path);
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = 0;
        if (mkdir(path, geteuid() ? 0700 : 0755) == 0)
            place->made++;
        else if (errno != EEXIST)
            return 0;
        if (!slash)
            return 1;
        *slash = '/';
    }
}

static void remove_folders(struct place *place) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", place->path);
    for (; place->made && rmdir(path) == 0; place->made--)
        *strrchr(path, '/') = 0;
}

/* Whether the place will do; the reason why not stays with it. */
static int is_usable(struct place *place, const struct executable *self) {
    struct statvfs disk;
    char *why_not = place->why_not;
    size_t room = sizeof place->why_not;
    if (!make_folders(place) || statvfs(place->path, &disk))
        return snprintf(why_not, room, "%s", strerror(errno)), 0;
    if (!is_safe(place->path, why_not, room))
        return 0;
    unsigned long long free_bytes = (unsigned long long)disk.f_bavail * disk.f_frsize;
    if (disk.f_flag & ST_RDONLY || access(place->path, W_OK))
        return snprintf(why_not, room, "%s", strerror(disk.f_flag & ST_RDONLY ? EROFS : errno)), 0;
    if (disk.f_flag & ST_NOEXEC)
        return snprintf(why_not, room, "programs may not run there (it is mounted noexec)"), 0;
    if (free_bytes < self->unpacked)
        return snprintf(why_not, room, "no space: it needs %llu MB, %llu MB are free", self->unpacked / 1000000 + 1,
                        free_bytes / 1000000), 0;
    return 1;
}

static void stop(int signal) {
    interrupted = signal;
}

/* Signals that are ignored, as nohup has it, stay so. */
static void listen_to_signals(void (*what)(int)) {
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction before, action = {.sa_handler = what};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
}

static int unpack_locked(struct place *place, const struct executable *self, const char *runtime, int lock) {
    char partial[PATH_MAX];
    struct stat found;
    if (stat(runtime, &found) == 0)
        return 1;
    prune(place->path, self->id);
    if (snprintf(partial, sizeof partial, "%s.partial", runtime) >= PATH_MAX)
        return 0;
    const char *error = unpack(self, partial, runtime);
    if (!error && (syncfs(lock) || rename(partial, runtime) || fsync(lock)))
        error = strerror(errno);
    if (error) {
        snprintf(place->why_not, sizeof place->why_not, "%s", error);
        remove_tree(partial);
    }
    return !error;
}

static int unpack_at(struct place *place, const struct executable *self, char runtime[PATH_MAX]) {
    int lock = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), done = 0;
    if (lock < 0 || (flock(lock, LOCK_EX) && !interrupted))
        snprintf(place->why_not, sizeof place->why_not, "%s", strerror(errno));
    else if (!interrupted && snprintf(runtime, PATH_MAX, "%s/%s", place->path, self->id) < PATH_MAX)
        done = unpack_locked(place, self, runtime, lock);
    if (lock >= 0)
        close(lock);
    return done;
}

static noreturn void tell(const struct place *places, int count, const struct executable *self) {
    char text[PLACES * (2 * PATH_MAX + 300)] = "";
    size_t length = 0;
    for (int i = 0; i < count; i++)
        if (!places[i].is_roots)
            length += (size_t)snprintf(text + length, sizeof text - length, "\n  %s: %s", places[i].path, places[i].why_not);
    fail("cannot unpack its runtime (%llu MB):%s\nMake room there, or name another folder in K0RDENTD_RUNTIME_DIR.",
         self->unpacked / 1000000 + 1, text);
}

void find_runtime(const struct executable *self, char runtime[PATH_MAX]) {
    static struct place places[PLACES];
    int count = list_places(places);
    for (int i = 0; i < count; i++)
        if (holds(&places[i], self->id, runtime))
            return;
    mode_t mask = umask(022);
    listen_to_signals(stop);
    for (int i = 0; i < count && !interrupted; i++) {
        if (places[i].is_roots)
            continue;
        errno = 0;
        if (is_usable(&places[i], self) && unpack_at(&places[i], self, runtime)) {
            listen_to_signals(SIG_DFL);
            umask(mask);
            return;
        }
        remove_folders(&places[i]);
    }
    listen_to_signals(SIG_DFL);
    if (interrupted)
        raise(interrupted);
    tell(places, count, self);
}
