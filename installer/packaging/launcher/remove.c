/* What nobody needs any more: half a runtime, and runtimes of versions that nobody runs. */

#include <dirent.h>
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

/* Whether a process runs out of the folder. */
static int is_in_use(const char *folder) {
    char link[PATH_MAX], executable[PATH_MAX];
    size_t length = strlen(folder);
    DIR *processes = opendir("/proc");
    if (!processes)
        return 1;
    int found = 0;
    for (struct dirent *entry; !found && (entry = readdir(processes));) {
        snprintf(link, sizeof link, "/proc/%.20s/exe", entry->d_name);
        ssize_t count = readlink(link, executable, sizeof executable);
        found = count > (ssize_t)length && !strncmp(executable, folder, length) && executable[length] == '/';
    }
    closedir(processes);
    return found;
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
