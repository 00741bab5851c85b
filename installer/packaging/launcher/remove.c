/* What nobody needs any more: half a runtime, and runtimes of versions that nobody runs. */

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "launcher.h"

#define WEEK (7 * 24 * 3600)

static int remove_one(const char *path, const struct stat *file, int kind, struct FTW *where) {
    (void)file, (void)kind, (void)where;
    remove(path);
    return 0;
}

void remove_tree(const char *path) {
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Whether a process runs out of the folder: by the file, for the path of one in a sandbox may read otherwise. */
static int is_in_use(const char *folder) {
    char path[PATH_MAX + 16];
    struct stat found, python = {0};
    DIR *processes = opendir("/proc");
    snprintf(path, sizeof path, "%s/bin/python3", folder);
    int in_use = !processes || (stat(path, &python) && errno != ENOENT);
    for (struct dirent *entry; !in_use && (entry = readdir(processes));) {
        snprintf(path, sizeof path, "/proc/%.20s/exe", entry->d_name);
        in_use = !stat(path, &found) && found.st_dev == python.st_dev && found.st_ino == python.st_ino;
    }
    if (processes)
        closedir(processes);
    return in_use;
}

static int is_old(const char *folder) {
    struct stat found;
    return stat(folder, &found) == 0 && found.st_mtime < time(NULL) - WEEK;
}

/* Called by the holder of the place's lock, so every partial folder is what a killed one left. */
void prune(const char *place, const char *id) {
    char folder[PATH_MAX], partial[PATH_MAX];
    DIR *folders = opendir(place);
    if (!folders)
        return;
    for (struct dirent *entry; (entry = readdir(folders));) {
        size_t length = strspn(entry->d_name, "0123456789abcdef");
        const char *rest = entry->d_name + length;
        if (length != strlen(id) || snprintf(folder, sizeof folder, "%s/%s", place, entry->d_name) >= PATH_MAX)
            continue;
        if (!strcmp(rest, ".partial"))
            remove_tree(folder);
        else if (!*rest && strcmp(entry->d_name, id) && is_old(folder) && !is_in_use(folder) &&
                 snprintf(partial, sizeof partial, "%s.partial", folder) < PATH_MAX && rename(folder, partial) == 0)
            remove_tree(partial);
    }
    closedir(folders);
}
