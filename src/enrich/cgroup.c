/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cgroup paths: which systemd unit, container and pod they name. A path is read component by component from the right,
 * so the innermost container wins and it does not matter from which cgroup namespace the path was seen.
 */
#include "enrich/cgroup.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "util/cleanup.h"

#define COMPONENTS_MAX 64      /* of a path; the kernel allows deeper ones, nobody makes them */
#define RUNTIME_FILE_MAX (1 << 20)
#define DIR_ENTRIES_MAX 8192
#define CGROUP_ID_HANDLE 0xfe  /* FILEID_KERNFS, linux/exportfs.h: a file handle of kernfs is the 64-bit id */

/* A piece of text that is not terminated. */
struct span {
	const char *at;
	size_t len;
};

#define SPAN(text) ((struct span){ (text), sizeof(text) - 1 })

static bool span_is(struct span s, const char *word)
{
	return strlen(word) == s.len && !memcmp(s.at, word, s.len);
}

static bool cut_prefix(struct span *s, const char *prefix)
{
	size_t n = strlen(prefix);

	if (s->len < n || memcmp(s->at, prefix, n))
		return false;
	s->at += n;
	s->len -= n;
	return true;
}

static bool cut_suffix(struct span *s, const char *suffix)
{
	size_t n = strlen(suffix);

	if (s->len < n || memcmp(s->at + s->len - n, suffix, n))
		return false;
	s->len -= n;
	return true;
}

static char *span_dup(struct span s)
{
	return strndup(s.at, s.len);
}

/* The name as people write it: systemd spells a dash inside a name \x2d. */
static char *span_dup_display(struct span s)
{
	char *text = span_dup(s);
	char *to = text;

	for (const char *from = text; text && *from;) {
		bool dash = !strncmp(from, "\\x2d", 4);

		*to++ = dash ? '-' : *from;
		from += dash ? 4 : 1;
	}
	if (text)
		*to = '\0';
	return text;
}

static bool is_hex(struct span s, size_t len)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!isdigit((unsigned char)s.at[i]) && !(s.at[i] >= 'a' && s.at[i] <= 'f'))
			return false;
	}
	return s.len == len;
}

/* Hex digits in groups: lengths one a character of @groups, each a digit or 'c' for twelve. */
static bool is_grouped_hex(struct span s, const char *groups, char separator)
{
	for (const char *g = groups; *g; g++) {
		size_t len = *g == 'c' ? 12 : (size_t)(*g - '0');

		if (s.len < len || !is_hex((struct span){ s.at, len }, len))
			return false;
		s.at += len;
		s.len -= len;
		if (g[1] && (s.len == 0 || *s.at != separator))
			return false;
		if (g[1]) {
			s.at++;
			s.len--;
		}
	}
	return s.len == 0;
}

static bool is_uuid(struct span s)
{
	return is_grouped_hex(s, "8444c", '-') || is_grouped_hex(s, "8444c", '_');
}

/* ---- what identifies a container, by shape ---- */

static bool id_hex64(struct span s)
{
	return is_hex(s, 64);
}

static bool id_garden(struct span s)
{
	return is_grouped_hex(s, "84444", '-');
}

/* AWS Fargate: the task's 32 hex digits and a number. */
static bool id_task(struct span s)
{
	const char *dash = memchr(s.at, '-', s.len);

	if (!dash || !is_hex((struct span){ s.at, (size_t)(dash - s.at) }, 32))
		return false;
	for (const char *c = dash + 1; c < s.at + s.len; c++) {
		if (!isdigit((unsigned char)*c))
			return false;
	}
	return dash + 1 < s.at + s.len;
}

/* Nomad: <allocation>.<task> */
static bool id_alloc(struct span s)
{
	return s.len > 37 && s.at[36] == '.' && is_uuid((struct span){ s.at, 36 });
}

static bool id_name(struct span s)
{
	return s.len > 0;
}

/* ---- which component names one ---- */

/* The uid in a pod's component: "pod<uid>", "kubepods-burstable-pod<uid>.slice", the same with ":runtime:id" behind. */
static bool pod_uid(struct span s, struct span *ret_uid)
{
	const char *colon = memchr(s.at, ':', s.len);
	struct span uid;

	if (colon)
		s.len = (size_t)(colon - s.at);
	cut_suffix(&s, ".slice");
	for (size_t back = 32; back <= 36; back += 4) { /* a static pod has 32 digits without dashes */
		if (s.len < back + 3)
			break;
		uid = (struct span){ s.at + s.len - back, back };
		if (memcmp(uid.at - 3, "pod", 3) || (s.len > back + 3 && uid.at[-4] != '-'))
			continue;
		if (is_uuid(uid) || is_hex(uid, 32)) {
			*ret_uid = uid;
			return true;
		}
	}
	return false;
}

struct pattern {
	const char *parent;         /* component to the left; NULL: any; POD: a pod's */
	const char *prefix;
	const char *suffix;
	bool (*id)(struct span s);  /* what is left between them; NULL: this is no container, look further left */
	const char *runtime;        /* NULL: cannot be told */
	bool named;                 /* the id is a name that people gave */
};

static const char POD[] = "pod";

/* clang-format off */
static const struct pattern patterns[] = {
	/* parent       prefix                 suffix      id          runtime       named */
	/* the monitor of a container is not in it */
	{ NULL,         "crio-conmon-",        "",         NULL,       NULL,         false },
	{ NULL,         "libpod-conmon-",      "",         NULL,       NULL,         false },
	/* systemd's cgroup driver */
	{ NULL,         "docker-",             ".scope",   id_hex64,   "docker",     false },
	{ NULL,         "cri-containerd-",     ".scope",   id_hex64,   "containerd", false },
	{ NULL,         "nerdctl-",            ".scope",   id_hex64,   "containerd", false },
	{ NULL,         "crio-",               ".scope",   id_hex64,   "crio",       false },
	{ NULL,         "libpod-",             ".scope",   id_hex64,   "podman",     false },
	/* the same asked of a runtime that has no systemd: "slice:prefix:id" taken literally */
	{ NULL,         ":cri-containerd:",    "",         id_hex64,   "containerd", false },
	{ NULL,         ":nerdctl:",           "",         id_hex64,   "containerd", false },
	{ NULL,         ":docker:",            "",         id_hex64,   "docker",     false },
	{ NULL,         ":crio:",              "",         id_hex64,   "crio",       false },
	{ NULL,         ":libpod:",            "",         id_hex64,   "podman",     false },
	/* the cgroupfs driver */
	{ NULL,         "crio-",               "",         id_hex64,   "crio",       false },
	{ NULL,         "libpod-",             "",         id_hex64,   "podman",     false },
	{ "docker",     "",                    "",         id_hex64,   "docker",     false },
	{ POD,          "",                    "",         id_hex64,   "cri",        false },
	{ "k8s.io",     "",                    "",         id_name,    "containerd", true  },
	{ "moby",       "",                    "",         id_hex64,   "docker",     false },
	{ "default",    "",                    "",         id_hex64,   "containerd", false },
	/* machines */
	{ NULL,         "systemd-nspawn@",     ".service", id_name,    "nspawn",     true  },
	{ NULL,         "machine-qemu\\x2d",   ".scope",   id_name,    "qemu",       true  },
	{ NULL,         "machine-",            ".scope",   id_name,    "machine",    true  },
	{ NULL,         "lxc.payload.",        "",         id_name,    "lxc",        true  },
	{ "lxc.payload", "",                   "",         id_name,    "lxc",        true  },
	{ "lxc",        "",                    "",         id_name,    "lxc",        true  },
	/* schedulers */
	{ NULL,         "",                    ".scope",   id_alloc,   "nomad",      false },
	{ "podruntime", "",                    "",         id_name,    "talos",      true  },
	{ NULL,         "",                    "",         id_garden,  "garden",     false },
	{ NULL,         "",                    "",         id_task,    "ecs",        false },
	/* a bare id below a name that we do not know */
	{ NULL,         "",                    "",         id_hex64,   NULL,         false },
};
/* clang-format on */

static bool parent_fits(const struct pattern *pt, struct span parent)
{
	struct span uid;

	if (!pt->parent)
		return true;
	return pt->parent == POD ? pod_uid(parent, &uid) : span_is(parent, pt->parent);
}

/* What lies between prefix and suffix; a prefix with colons may stand anywhere. */
static bool pattern_fits(const struct pattern *pt, struct span s, struct span *ret_id)
{
	const char *at;

	if (pt->prefix[0] == ':') {
		at = memmem(s.at, s.len, pt->prefix, strlen(pt->prefix));
		if (!at)
			return false;
		s.len -= (size_t)(at - s.at);
		s.at = at;
	}
	if (!cut_prefix(&s, pt->prefix) || !cut_suffix(&s, pt->suffix) || (pt->id && !pt->id(s)))
		return false;
	*ret_id = s;
	return true;
}

static const struct pattern *pattern_find(struct span parent, struct span s, struct span *ret_id)
{
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		if (parent_fits(&patterns[i], parent) && pattern_fits(&patterns[i], s, ret_id))
			return &patterns[i];
	}
	return NULL;
}

/* The components of @path but "." and "..", at most @max of them: the last ones. Returns how many. */
static size_t split(const char *path, struct span *part, size_t max)
{
	const char *end = path + strlen(path);
	size_t n = 0;

	while (end > path && n < max) {
		const char *at = end;

		while (at > path && at[-1] != '/')
			at--;
		if (end > at && !span_is((struct span){ at, (size_t)(end - at) }, "..") &&
		    !span_is((struct span){ at, (size_t)(end - at) }, "."))
			part[n++] = (struct span){ at, (size_t)(end - at) };
		end = at > path ? at - 1 : path;
	}
	return n;
}

/* part[0] is the rightmost component. */
static int find_container(const struct span *part, size_t n, struct cgroup_info *ret)
{
	const struct pattern *pt = NULL;
	struct span id;

	for (size_t i = 0; i < n && !(pt && pt->id); i++)
		pt = pattern_find(i + 1 < n ? part[i + 1] : SPAN(""), part[i], &id);
	if (!pt || !pt->id)
		return 0;

	if (pt->id == id_alloc) { /* <allocation>.<task>: both are worth having */
		ret->container_name = span_dup((struct span){ id.at + 37, id.len - 37 });
		id.len = 36;
	}
	ret->container_id = pt->named ? span_dup_display(id) : span_dup(id);
	if (pt->named)
		ret->container_name = span_dup_display(id);
	if (pt->runtime)
		ret->container_runtime = strdup(pt->runtime);
	if (!ret->container_id || (pt->runtime && !ret->container_runtime) ||
	    ((pt->named || pt->id == id_alloc) && !ret->container_name))
		return -ENOMEM;
	return 0;
}

static int find_pod(const struct span *part, size_t n, struct cgroup_info *ret)
{
	struct span uid;
	size_t i = 0;

	while (i < n && !pod_uid(part[i], &uid))
		i++;
	if (i == n)
		return 0;
	ret->pod_uid = span_dup(uid);
	if (!ret->pod_uid)
		return -ENOMEM;
	for (char *c = ret->pod_uid; *c; c++)
		*c = *c == '_' ? '-' : *c;
	return 0;
}

static bool is_unit(struct span s)
{
	static const char *const suffixes[] = { ".service", ".scope", ".socket", ".mount", ".swap" };

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		if (s.len > strlen(suffixes[i]) && cut_suffix(&s, suffixes[i]))
			return true;
	}
	return false;
}

/* systemd puts a '_' before names that would mean something to the kernel (a leading '_', '.', "cgroup.procs"). */
static struct span unescaped(struct span s)
{
	cut_prefix(&s, "_");
	return s;
}

/* The first unit right of the slices: what lies below it is the unit's own business. */
static int find_unit(const struct span *part, size_t n, struct cgroup_info *ret)
{
	const struct span *unit = NULL;
	struct span slice;

	for (size_t i = 0; i < n; i++) {
		slice = unescaped(part[i]);
		if (cut_suffix(&slice, ".slice") && slice.len)
			break;
		if (is_unit(unescaped(part[i])))
			unit = &part[i];
	}
	if (!unit)
		return 0;
	ret->unit = span_dup_display(unescaped(*unit));
	return ret->unit ? 0 : -ENOMEM;
}

int cgroup_parse(const char *path, struct cgroup_info *ret)
{
	struct span part[COMPONENTS_MAX];
	size_t n = split(path, part, ARRAY_SIZE(part));
	int r;

	r = find_container(part, n, ret);
	if (!r)
		r = find_pod(part, n, ret);
	if (!r)
		r = find_unit(part, n, ret);
	return r;
}

/* ---- names from the runtimes' own files ---- */

/*
 * The strings of a JSON text, one after the other. Three runtimes keep a name in files of their own; what is wanted of
 * them is a handful of plain strings, so this reads strings and counts brackets and builds nothing: no recursion, no
 * memory, nothing for a broken or hostile file to exhaust. Text with escapes is handed out as it stands (and refused as
 * a name: none of the runtimes allows one that would need them).
 */
struct json_walk {
	const char *at;
	const char *end;
	int depth;
	struct span key;      /* the last one before the value */
};

static struct span json_take_string(struct json_walk *w)
{
	struct span s = { ++w->at, 0 };

	while (w->at < w->end && *w->at != '"')
		w->at += *w->at == '\\' && w->at + 1 < w->end ? 2 : 1;
	s.len = (size_t)(w->at - s.at);
	if (w->at < w->end)
		w->at++;
	return s;
}

static void json_skip_space(struct json_walk *w)
{
	while (w->at < w->end && isspace((unsigned char)*w->at))
		w->at++;
}

/* The next string that is a value. */
static bool json_next(struct json_walk *w, struct span *ret)
{
	while (w->at < w->end) {
		char c = *w->at;

		if (c != '"') {
			w->depth += (c == '{' || c == '[') - (c == '}' || c == ']');
			w->at++;
			continue;
		}
		*ret = json_take_string(w);
		json_skip_space(w);
		if (w->at == w->end || *w->at != ':')
			return true;
		w->key = *ret;
		w->at++;
	}
	return false;
}

static void set_name(char **name, struct span s)
{
	if (!*name && s.len && s.len < NAME_MAX && !memchr(s.at, '\\', s.len) && !memchr(s.at, '\0', s.len))
		*name = span_dup(s);
}

/* A whole regular file, never waiting for a writer or following a link put in its place. */
static int read_file(int root_fd, const char *path, char **ret_text, size_t *ret_len)
{
	auto_close int fd = openat(root_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
	auto_free char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > RUNTIME_FILE_MAX)
		return -EINVAL;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	n = read(fd, text, (size_t)st.st_size);
	if (n < 0)
		return -errno;

	text[n] = '\0';
	*ret_len = (size_t)n;
	*ret_text = take(text);
	return 0;
}

/* What kubelet makes dockershim and CRI-O call a container: k8s_<container>_<pod>_<namespace>_<uid>_<attempt>. */
static bool names_from_k8s_convention(struct span s, struct cgroup_info *info)
{
	char **const parts[] = { &info->container_name, &info->pod_name, &info->pod_namespace };

	if (!cut_prefix(&s, "k8s_"))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		const char *end = memchr(s.at, '_', s.len);

		if (!end)
			break;
		set_name(parts[i], (struct span){ s.at, (size_t)(end - s.at) });
		s.len -= (size_t)(end + 1 - s.at);
		s.at = end + 1;
	}
	return true;
}

static void names_from_docker(int root_fd, struct cgroup_info *info)
{
	auto_free char *text = NULL;
	struct json_walk w = { 0 };
	struct span value;
	char path[256];
	size_t len;

	snprintf(path, sizeof(path), "var/lib/docker/containers/%s/config.v2.json", info->container_id);
	if (read_file(root_fd, path, &text, &len))
		return;
	if (!info->container_runtime)
		info->container_runtime = strdup("docker");
	w.at = text;
	w.end = text + len;
	while (json_next(&w, &value)) {
		if (w.depth != 1 || !span_is(w.key, "Name"))
			continue;
		cut_prefix(&value, "/");
		if (!names_from_k8s_convention(value, info))
			set_name(&info->container_name, value);
		return;
	}
}

static void names_from_annotations(int root_fd, const char *path, struct cgroup_info *info)
{
	const struct {
		const char *key;
		char **name;
	} rows[] = {
		{ "io.kubernetes.cri.container-name", &info->container_name },
		{ "io.kubernetes.cri.sandbox-name", &info->pod_name },
		{ "io.kubernetes.cri.sandbox-namespace", &info->pod_namespace },
		{ "io.kubernetes.container.name", &info->container_name },
		{ "io.kubernetes.pod.name", &info->pod_name },
		{ "io.kubernetes.pod.namespace", &info->pod_namespace },
		{ "nerdctl/name", &info->container_name },
	};
	auto_free char *text = NULL;
	struct json_walk w = { 0 };
	struct span value;
	size_t len;

	if (read_file(root_fd, path, &text, &len))
		return;
	w.at = text;
	w.end = text + len;
	while (json_next(&w, &value)) {
		for (size_t i = 0; w.depth == 2 && i < ARRAY_SIZE(rows); i++) {
			if (span_is(w.key, rows[i].key))
				set_name(rows[i].name, value);
		}
	}
}

static void names_from_containerd(int root_fd, struct cgroup_info *info)
{
	static const char *const namespaces[] = { "k8s.io", "default" };
	char path[256];

	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
		snprintf(path, sizeof(path), "run/containerd/io.containerd.runtime.v2.task/%s/%s/config.json",
			 namespaces[i], info->container_id);
		names_from_annotations(root_fd, path, info);
	}
}

/* containers/storage, which Podman and CRI-O share: an array of objects, "id" before "names" in each. */
static void names_from_storage(int root_fd, struct cgroup_info *info)
{
	auto_free char *text = NULL;
	struct json_walk w = { 0 };
	struct span value;
	bool mine = false;
	char path[256];
	size_t len;

	snprintf(path, sizeof(path), "run/containers/storage/overlay-containers/%s/userdata/config.json",
		 info->container_id);
	names_from_annotations(root_fd, path, info);

	if (info->container_name ||
	    read_file(root_fd, "var/lib/containers/storage/overlay-containers/containers.json", &text, &len))
		return;
	w.at = text;
	w.end = text + len;
	while (json_next(&w, &value)) {
		if (w.depth == 2 && span_is(w.key, "id"))
			mine = span_is(value, info->container_id);
		if (!mine || w.depth != 3 || !span_is(w.key, "names"))
			continue;
		if (!names_from_k8s_convention(value, info))
			set_name(&info->container_name, value);
		return;
	}
}

/* Call @each for the names in a directory, at most DIR_ENTRIES_MAX, until it returns true. */
static void walk_names(int root_fd, const char *path, bool (*each)(struct cgroup_info *info, struct span name),
		       struct cgroup_info *info)
{
	int fd = openat(root_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_DIRECTORY);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;

	if (!dir && fd >= 0)
		close(fd);
	for (unsigned n = 0; dir && n < DIR_ENTRIES_MAX && (d = readdir(dir)); n++) {
		if (each(info, (struct span){ d->d_name, strlen(d->d_name) }))
			break;
	}
	if (dir)
		closedir(dir);
}

/* Two parts of @s, which has a '_' between them; neither pods nor namespaces can have one in their name. */
static void set_pair(struct span s, char **first, char **second)
{
	const char *mid = memchr(s.at, '_', s.len);

	if (!mid)
		return;
	set_name(first, (struct span){ s.at, (size_t)(mid - s.at) });
	set_name(second, (struct span){ mid + 1, s.len - (size_t)(mid + 1 - s.at) });
}

/* /var/log/pods/<namespace>_<pod>_<uid> */
static bool pod_from_log(struct cgroup_info *info, struct span s)
{
	if (!cut_suffix(&s, info->pod_uid) || !cut_suffix(&s, "_"))
		return false;
	set_pair(s, &info->pod_namespace, &info->pod_name);
	return true;
}

/* /var/log/containers/<pod>_<namespace>_<container>-<id>.log */
static bool container_from_log(struct cgroup_info *info, struct span s)
{
	const char *last;

	if (!cut_suffix(&s, ".log") || !cut_suffix(&s, info->container_id) || !cut_suffix(&s, "-"))
		return false;
	last = memrchr(s.at, '_', s.len);
	if (!last)
		return false;
	set_name(&info->container_name, (struct span){ last + 1, s.len - (size_t)(last + 1 - s.at) });
	set_pair((struct span){ s.at, (size_t)(last - s.at) }, &info->pod_name, &info->pod_namespace);
	return true;
}

void container_names(int root_fd, struct cgroup_info *info)
{
	static const struct {
		const char *runtime;
		void (*read)(int root_fd, struct cgroup_info *info);
	} sources[] = {
		{ "docker", names_from_docker },
		{ "containerd", names_from_containerd },
		{ "podman", names_from_storage },
		{ "crio", names_from_storage },
		/* kubelet's layout does not say which runtime made it; a bare id says nothing at all */
		{ "cri", names_from_docker },
		{ "cri", names_from_containerd },
		{ "cri", names_from_storage },
		{ "", names_from_docker },
	};
	bool has_id = info->container_id && id_hex64((struct span){ info->container_id, strlen(info->container_id) });

	for (size_t i = 0; has_id && !info->container_name && i < ARRAY_SIZE(sources); i++) {
		if (!strcmp(info->container_runtime ?: "", sources[i].runtime))
			sources[i].read(root_fd, info);
	}
	if (has_id && info->pod_uid && !info->container_name)
		walk_names(root_fd, "var/log/containers", container_from_log, info);
	if (info->pod_uid && !info->pod_name)
		walk_names(root_fd, "var/log/pods", pod_from_log, info);
}

/* ---- the v2 hierarchy ---- */

/* mountinfo writes space, tab, newline and backslash as \040 and so on. 0, or -ENAMETOOLONG. */
static int unescape_octal(struct span s, char *ret, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++, n++) {
		const char *c = s.at + i;
		bool octal = *c == '\\' && i + 3 < s.len && c[1] >= '0' && c[1] <= '3' && c[2] >= '0' &&
			     c[2] <= '7' && c[3] >= '0' && c[3] <= '7';

		if (n + 1 >= size)
			return -ENAMETOOLONG;
		ret[n] = octal ? (char)((c[1] - '0') << 6 | (c[2] - '0') << 3 | (c[3] - '0')) : *c;
		i += octal ? 3 : 0;
	}
	ret[n] = '\0';
	return 0;
}

/* The next word of a line, up to a space; an empty one at its end. */
static struct span take_word(struct span *line)
{
	struct span word = { line->at, 0 };

	while (word.len < line->len && line->at[word.len] != ' ')
		word.len++;
	line->at += word.len;
	line->len -= word.len;
	cut_prefix(line, " ");
	return word;
}

/* A line is "id parent major:minor root mountpoint options [optional...] - fstype source options". */
static bool is_cgroup2(struct span line, struct span *ret_root, struct span *ret_point)
{
	struct span word;

	for (int i = 0; i < 3; i++)
		take_word(&line);
	*ret_root = take_word(&line);
	*ret_point = take_word(&line);
	do
		word = take_word(&line);
	while (line.len && !span_is(word, "-"));
	return span_is(take_word(&line), "cgroup2");
}

int cgroup2_mount(const char *mountinfo, char *ret_path, size_t size)
{
	struct span best = { 0 };

	for (const char *at = mountinfo; *at;) {
		const char *end = strchrnul(at, '\n');
		struct span root, point;

		/* one that shows the whole hierarchy is better than a part of it bound somewhere */
		if (is_cgroup2((struct span){ at, (size_t)(end - at) }, &root, &point) &&
		    (!best.at || span_is(root, "/"))) {
			best = point;
			if (span_is(root, "/"))
				break;
		}
		at = *end ? end + 1 : end;
	}
	return best.at ? unescape_octal(best, ret_path, size) : -ENOENT;
}

int cgroup_path_by_id(int mount_fd, const char *mount_path, uint64_t id, char *ret_path, size_t size)
{
	union {
		struct file_handle head;
		char room[sizeof(struct file_handle) + sizeof(id)];
	} handle = { .head = { .handle_bytes = sizeof(id), .handle_type = CGROUP_ID_HANDLE } };
	size_t skip = strcmp(mount_path, "/") ? strlen(mount_path) : 0;
	auto_close int fd = -1;
	char link[40], path[PATH_MAX];
	ssize_t n;

	memcpy(handle.room + offsetof(struct file_handle, f_handle), &id, sizeof(id));
	fd = open_by_handle_at(mount_fd, &handle.head, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return -errno;
	path[n] = '\0';

	/* from a mount that is on no path (a private one) it is already below the hierarchy's root */
	if (strncmp(path, mount_path, skip) || (path[skip] != '/' && path[skip] != '\0'))
		skip = 0;
	if ((size_t)snprintf(ret_path, size, "%s", path[skip] ? path + skip : "/") >= size)
		return -ENAMETOOLONG;
	return 0;
}
