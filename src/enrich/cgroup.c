/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cgroup paths: which systemd unit, container and pod they name. A path is read component by component from the right,
 * so the innermost container wins and it does not matter from which cgroup namespace the path was seen.
 */
#include "enrich/cgroup.h"

#include <errno.h>

#include "enrich/span.h"
#include "util/cleanup.h"

#define COMPONENTS_MAX 64 /* of a path; the kernel allows deeper ones, nobody makes them */

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
	const char *parent; /* component to the left; NULL: any; POD: a pod's */
	const char *prefix;
	const char *suffix;
	bool (*id)(struct span s); /* what is between them; NULL: no container, look further left */
	const char *runtime;       /* NULL: cannot be told */
	bool named;                /* the id is a name that people gave */
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
