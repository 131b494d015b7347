/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of containers and pods from the runtimes' own files. No runtime is asked, nothing is waited for: a file that is
 * not there, too large or no plain file just gives no name.
 */
#include "enrich/cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "enrich/files.h"
#include "enrich/json_scan.h"
#include "enrich/span.h"
#include "util/cleanup.h"

#define RUNTIME_FILE_MAX (1 << 20)
#define DIR_ENTRIES_MAX 8192

/* A name that would need escapes is refused: no runtime allows one. */
static void set_name(char **name, struct span s)
{
	if (!*name && s.len && s.len < NAME_MAX && !memchr(s.at, '\\', s.len) && !memchr(s.at, '\0', s.len))
		*name = span_dup(s);
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
	struct json_scan scan = { 0 };
	struct span value;
	char path[256];
	size_t len = 0;

	snprintf(path, sizeof(path), "var/lib/docker/containers/%s/config.v2.json", info->container_id);
	if (file_read(root_fd, path, O_NOFOLLOW, RUNTIME_FILE_MAX, &text, &len))
		return;
	if (!info->container_runtime)
		info->container_runtime = strdup("docker");
	scan.at = text;
	scan.end = text + len;
	while (json_scan_next(&scan, &value)) {
		if (scan.depth != 1 || !span_is(scan.key, "Name"))
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
	struct json_scan scan = { 0 };
	struct span value;
	size_t len = 0;

	if (file_read(root_fd, path, O_NOFOLLOW, RUNTIME_FILE_MAX, &text, &len))
		return;
	scan.at = text;
	scan.end = text + len;
	while (json_scan_next(&scan, &value)) {
		for (size_t i = 0; scan.depth == 2 && i < ARRAY_SIZE(rows); i++) {
			if (span_is(scan.key, rows[i].key))
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
	struct json_scan scan = { 0 };
	struct span value;
	bool mine = false;
	char path[256];
	size_t len = 0;

	snprintf(path, sizeof(path), "run/containers/storage/overlay-containers/%s/userdata/config.json",
		 info->container_id);
	names_from_annotations(root_fd, path, info);

	if (info->container_name ||
	    file_read(root_fd, "var/lib/containers/storage/overlay-containers/containers.json", O_NOFOLLOW,
		      RUNTIME_FILE_MAX, &text, &len))
		return;
	scan.at = text;
	scan.end = text + len;
	while (json_scan_next(&scan, &value)) {
		if (scan.depth == 2 && span_is(scan.key, "id"))
			mine = span_is(value, info->container_id);
		if (!mine || scan.depth != 3 || !span_is(scan.key, "names"))
			continue;
		if (!names_from_k8s_convention(value, info))
			set_name(&info->container_name, value);
		return;
	}
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
static bool pod_from_log(void *arg, const char *name)
{
	struct span s = { name, strlen(name) };
	struct cgroup_info *info = arg;

	if (!cut_suffix(&s, info->pod_uid) || !cut_suffix(&s, "_"))
		return false;
	set_pair(s, &info->pod_namespace, &info->pod_name);
	return true;
}

/* /var/log/containers/<pod>_<namespace>_<container>-<id>.log */
static bool container_from_log(void *arg, const char *name)
{
	struct span s = { name, strlen(name) };
	struct cgroup_info *info = arg;
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
	struct span id = { info->container_id, info->container_id ? strlen(info->container_id) : 0 };
	bool has_id = is_hex(id, 64);

	for (size_t i = 0; has_id && !info->container_name && i < ARRAY_SIZE(sources); i++) {
		if (!strcmp(info->container_runtime ?: "", sources[i].runtime))
			sources[i].read(root_fd, info);
	}
	if (has_id && info->pod_uid && !info->container_name)
		dir_walk(root_fd, "var/log/containers", DIR_ENTRIES_MAX, container_from_log, info);
	if (info->pod_uid && !info->pod_name)
		dir_walk(root_fd, "var/log/pods", DIR_ENTRIES_MAX, pod_from_log, info);
}
