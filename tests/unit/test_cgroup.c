/* SPDX-License-Identifier: GPL-2.0-only */
/* What cgroup paths say, what the runtimes' files say, and where cgroup v2 is. */
#include "enrich/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "util/cleanup.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID2 "fedcba98765432100123456789abcdeffedcba98765432100123456789abcdef"
#define UID "27e8f7a1-0b4c-4b7e-9d7c-1f2e3d4c5b6a"
#define UID_ "27e8f7a1_0b4c_4b7e_9d7c_1f2e3d4c5b6a"

/* unit, container id, runtime, name, pod */
static const struct {
	const char *path;
	const char *unit, *id, *runtime, *name, *pod;
} paths[] = {
	{ "/" },
	{ "" },
	{ "/system.slice" },
	{ "/system.slice/my-svc.service", "my-svc.service" },
	{ "/system.slice/myscope.scope", "myscope.scope" },
	{ "/init.scope", "init.scope" },
	{ "/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service" },
	{ "/system.slice/web.socket", "web.socket" },
	{ "/system.slice/home.mount", "home.mount" },
	{ "/system.slice/dev-sda2.swap", "dev-sda2.swap" },
	{ "/system.slice/system-foo\\x2dbar.slice/foo\\x2dbar@1.service", "foo-bar@1.service" },
	{ "/system.slice/_cgroup.procs.service", "cgroup.procs.service" },
	{ "/system.slice/__dunder.service", "_dunder.service" },
	{ "/system.slice/pay.service/worker.service/deep", "pay.service" },
	{ "/system.slice/.service" },
	{ "/system.slice/docker.service", "docker.service" },

	{ "/user.slice/user-1000.slice/session-3.scope", "session-3.scope" },
	{ "/user.slice/user-1000.slice/user@1000.service/init.scope", "user@1000.service" },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/syncthing.service", "syncthing.service" },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.gnome.Terminal.slice/vte-spawn-1.scope",
	  "vte-spawn-1.scope" },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/app-flatpak-org.x.Y-42.scope",
	  "app-flatpak-org.x.Y-42.scope" },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/snap.lxd.daemon-1f.scope",
	  "snap.lxd.daemon-1f.scope" },

	{ "/system.slice/docker-" ID ".scope", "docker-" ID ".scope", ID, "docker" },
	{ "/payload/system.slice/docker-" ID ".scope", "docker-" ID ".scope", ID, "docker" },
	{ "/../../../system.slice/docker-" ID ".scope", "docker-" ID ".scope", ID, "docker" },
	{ "/docker/" ID, NULL, ID, "docker" },
	{ "/docker/" ID "/init.scope", "init.scope", ID, "docker" },
	{ "/docker/" ID "/docker/" ID2, NULL, ID2, "docker" },
	{ "/system.slice/containerd.service/docker/" ID, "containerd.service", ID, "docker" },
	{ "/system.slice/docker-0123.scope", "docker-0123.scope" },
	{ "/docker/0123" },
	{ "/docker/buildkit" },

	{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice/cri-containerd-" ID
	  ".scope",
	  "cri-containerd-" ID ".scope", ID, "containerd", NULL, UID },
	{ "/kubepods.slice/kubepods-pod" UID_ ".slice/cri-containerd-" ID ".scope",
	  "cri-containerd-" ID ".scope", ID, "containerd", NULL, UID },
	{ "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_ ".slice/docker-" ID
	  ".scope",
	  "docker-" ID ".scope", ID, "docker", NULL, UID },
	{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice/crio-" ID ".scope",
	  "crio-" ID ".scope", ID, "crio", NULL, UID },
	{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice/crio-conmon-" ID
	  ".scope",
	  "crio-conmon-" ID ".scope", NULL, NULL, NULL, UID },
	{ "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" UID_ ".slice/cri-containerd-" ID
	  ".scope",
	  "cri-containerd-" ID ".scope", ID, "containerd", NULL, UID },
	{ "/docker/" ID2 "/kubelet.slice/kubelet-kubepods-pod" UID_ ".slice/cri-containerd-" ID ".scope",
	  "cri-containerd-" ID ".scope", ID, "containerd", NULL, UID },
	{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice/cri-containerd-" ID
	  ".scope/system.slice/nginx.service",
	  "nginx.service", ID, "containerd", NULL, UID },
	{ "/system.slice/containerd.service/kubepods-burstable-pod" UID_ ".slice:cri-containerd:" ID,
	  "containerd.service", ID, "containerd", NULL, UID },
	{ "/kubepods-besteffort-pod" UID_ ".slice:crio:" ID, NULL, ID, "crio", NULL, UID },
	{ "/kubepods/burstable/pod" UID "/" ID, NULL, ID, "cri", NULL, UID },
	{ "/kubepods/pod" UID "/" ID, NULL, ID, "cri", NULL, UID },
	{ "/kubepods/besteffort/pod" UID "/crio-" ID, NULL, ID, "crio", NULL, UID },
	{ "/kubepods/besteffort/pod" UID "/crio-conmon-" ID, NULL, NULL, NULL, NULL, UID },
	{ "/kubepods/besteffort/pod" UID, NULL, NULL, NULL, NULL, UID },
	{ "/kubepods/burstable/pod0123456789abcdef0123456789abcdef/" ID, NULL, ID, "cri", NULL,
	  "0123456789abcdef0123456789abcdef" },
	{ "/kubepods/podracer/" ID, NULL, ID },
	{ "/xpod" UID "/x" },

	{ "/machine.slice/libpod-" ID ".scope", "libpod-" ID ".scope", ID, "podman" },
	{ "/machine.slice/libpod-" ID ".scope/container", "libpod-" ID ".scope", ID, "podman" },
	{ "/machine.slice/libpod-conmon-" ID ".scope", "libpod-conmon-" ID ".scope" },
	{ "/machine.slice/machine-libpod_pod_" ID2 ".slice/libpod-" ID ".scope/container",
	  "libpod-" ID ".scope", ID, "podman" },
	{ "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope/container",
	  "libpod-" ID ".scope", ID, "podman" },
	{ "/libpod_parent/libpod-" ID, NULL, ID, "podman" },
	{ "/libpod_parent/libpod-conmon-" ID },

	{ "/system.slice/nerdctl-" ID ".scope", "nerdctl-" ID ".scope", ID, "containerd" },
	{ "/default/" ID, NULL, ID, "containerd" },
	{ "/k8s.io/ctr1", NULL, "ctr1", "containerd", "ctr1" },
	{ "/default/ctr1" },

	{ "/machine.slice/systemd-nspawn@web.service/payload/system.slice/nginx.service", "nginx.service",
	  "web", "nspawn", "web" },
	{ "/machine.slice/systemd-nspawn@my\\x2dbox.service/payload", "systemd-nspawn@my-box.service",
	  "my-box", "nspawn", "my-box" },
	{ "/machine.slice/systemd-nspawn@web.service/payload/system.slice/docker-" ID ".scope",
	  "docker-" ID ".scope", ID, "docker" },
	{ "/machine.slice/machine-box.scope", "machine-box.scope", "box", "machine", "box" },
	{ "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator", "machine-qemu-1-vm.scope",
	  "1-vm", "qemu", "1-vm" },
	{ "/lxc.payload.web/system.slice/ssh.service", "ssh.service", "web", "lxc", "web" },
	{ "/lxc.payload/web", NULL, "web", "lxc", "web" },
	{ "/lxc/web/init.scope", "init.scope", "web", "lxc", "web" },
	{ "/lxc.monitor.web" },
	{ "/lxc.monitor/web" },

	{ "/garden/01234567-89ab-cdef-0123-4567", NULL, "01234567-89ab-cdef-0123-4567", "garden" },
	{ "/system.slice/garden.service/garden/01234567-89ab-cdef-0123-4567", "garden.service",
	  "01234567-89ab-cdef-0123-4567", "garden" },
	{ "/ecs/0123456789abcdef0123456789abcdef/" ID, NULL, ID },
	{ "/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-1234567890", NULL,
	  "0123456789abcdef0123456789abcdef-1234567890", "ecs" },
	{ "/ecstasks.slice/ecstasks-0123456789abcdef0123456789abcdef.slice/docker-" ID ".scope",
	  "docker-" ID ".scope", ID, "docker" },
	{ "/nomad.slice/share.slice/" UID ".web.scope", UID ".web.scope", UID, "nomad", "web" },
	{ "/podruntime/kubelet", NULL, "kubelet", "talos", "kubelet" },
	{ "/actions_job/" ID, NULL, ID },

	{ "///docker//" ID "//", NULL, ID, "docker" },
	{ "docker/" ID, NULL, ID, "docker" },
	{ "/docker/" ID "0" },
	{ "/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef" },
};

static void same(const char *what, const char *path, const char *got, const char *want)
{
	if (!got != !want || (got && strcmp(got, want)))
		fail_msg("%s of %s: got %s, want %s", what, path, got ?: "none", want ?: "none");
}

static void every_known_path_names_its_unit_container_and_pod(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct cgroup_info info = { 0 };

		assert_int_equal(cgroup_parse(paths[i].path, &info), 0);
		same("unit", paths[i].path, info.unit, paths[i].unit);
		same("container", paths[i].path, info.container_id, paths[i].id);
		same("runtime", paths[i].path, info.container_runtime, paths[i].runtime);
		same("name", paths[i].path, info.container_name, paths[i].name);
		same("pod", paths[i].path, info.pod_uid, paths[i].pod);
		cgroup_info_done(&info);
	}
}

static void bytes_that_are_no_text_stay_as_they_are(void **state)
{
	struct cgroup_info info = { 0 };

	(void)state;
	assert_int_equal(cgroup_parse("/system.slice/\x1b[31m\n\xff\"x.service", &info), 0);
	assert_string_equal(info.unit, "\x1b[31m\n\xff\"x.service");
	cgroup_info_done(&info);
}

static void a_path_of_thousands_of_components_is_read_from_its_end(void **state)
{
	struct cgroup_info info = { 0 };
	char path[20100];

	(void)state;
	for (size_t i = 0; i < 20000; i += 2)
		memcpy(path + i, "/a", 2);
	strcpy(path + 20000, "/docker/" ID);
	assert_int_equal(cgroup_parse(path, &info), 0);
	assert_string_equal(info.container_id, ID);
	cgroup_info_done(&info);
}

/* ---- names ---- */

struct tree {
	char path[64];
	int fd;
};

static int tree_setup(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));

	strcpy(t->path, "/tmp/test_cgroup.XXXXXX");
	if (!mkdtemp(t->path))
		return -1;
	t->fd = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = t;
	return t->fd < 0;
}

static int tree_teardown(void **state)
{
	struct tree *t = *state;
	char command[96];

	close(t->fd);
	snprintf(command, sizeof(command), "rm -rf '%s'", t->path);
	free(t);
	return system(command);
}

static void make_dirs(const struct tree *t, const char *path)
{
	auto_free char *copy = strdup(path);

	for (char *c = copy; (c = strchr(c, '/')); c++) {
		*c = '\0';
		mkdirat(t->fd, copy, 0755);
		*c = '/';
	}
}

static void put(const struct tree *t, const char *path, const char *text)
{
	auto_close int fd = -1;

	make_dirs(t, path);
	fd = openat(t->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static struct cgroup_info named(const struct tree *t, const char *path)
{
	struct cgroup_info info = { 0 };

	assert_int_equal(cgroup_parse(path, &info), 0);
	container_names(t->fd, &info);
	return info;
}

static void docker_says_the_name_of_a_container(void **state)
{
	struct cgroup_info info;

	put(*state, "var/lib/docker/containers/" ID "/config.v2.json",
	    "{\"StreamConfig\":{},\"Config\":{\"Name\":\"/no\",\"Env\":[\"Name\",\"\\\"Name\\\":\\\"/no\\\"\"]},"
	    "\"Image\":\"sha256:1\", \"Name\" : \"/shop-api-1\",\"Driver\":\"overlay2\"}");
	info = named(*state, "/system.slice/docker-" ID ".scope");
	assert_string_equal(info.container_name, "shop-api-1");
	cgroup_info_done(&info);
	info = named(*state, "/actions_job/" ID);
	assert_string_equal(info.container_name, "shop-api-1");
	assert_string_equal(info.container_runtime, "docker");
	cgroup_info_done(&info);
	info = named(*state, "/docker/" ID2);
	assert_null(info.container_name);
	cgroup_info_done(&info);
}

static void dockershim_names_carry_the_pod(void **state)
{
	struct cgroup_info info;

	put(*state, "var/lib/docker/containers/" ID "/config.v2.json",
	    "{\"Name\":\"/k8s_web_shop-7d9f_prod_" UID "_0\"}");
	info = named(*state, "/kubepods.slice/kubepods-pod" UID_ ".slice/docker-" ID ".scope");
	assert_string_equal(info.container_name, "web");
	assert_string_equal(info.pod_name, "shop-7d9f");
	assert_string_equal(info.pod_namespace, "prod");
	cgroup_info_done(&info);
}

static void podman_says_the_name_of_a_container(void **state)
{
	struct cgroup_info info;

	put(*state, "var/lib/containers/storage/overlay-containers/containers.json",
	    "[{\"id\":\"" ID2 "\",\"names\":[\"other\"],\"metadata\":\"{\\\"id\\\":\\\"" ID "\\\"}\"},\n"
	    " {\"id\":\"" ID "\",\"names\":[\"db\",\"alias\"],\"image\":\"x\"}]");
	info = named(*state, "/machine.slice/libpod-" ID ".scope/container");
	assert_string_equal(info.container_name, "db");
	cgroup_info_done(&info);
}

static void the_container_specification_says_names_of_container_and_pod(void **state)
{
	struct cgroup_info info;

	put(*state, "run/containerd/io.containerd.runtime.v2.task/k8s.io/" ID "/config.json",
	    "{\"ociVersion\":\"1.1\",\"process\":{\"env\":[\"io.kubernetes.cri.sandbox-name\"]},"
	    "\"annotations\":{\"io.kubernetes.cri.container-name\":\"web\","
	    "\"io.kubernetes.cri.sandbox-name\":\"shop-7d9f\",\"io.kubernetes.cri.sandbox-namespace\":\"prod\"}}");
	info = named(*state, "/kubepods.slice/kubepods-pod" UID_ ".slice/cri-containerd-" ID ".scope");
	assert_string_equal(info.container_name, "web");
	assert_string_equal(info.pod_name, "shop-7d9f");
	assert_string_equal(info.pod_namespace, "prod");
	cgroup_info_done(&info);
	info = named(*state, "/kubepods/burstable/pod" UID "/" ID);
	assert_string_equal(info.container_name, "web");
	cgroup_info_done(&info);
}

static void kubelets_log_directories_say_the_rest(void **state)
{
	struct cgroup_info info;

	put(*state, "var/log/pods/kube-system_coredns-1_" UID "/x/0.log", "");
	put(*state, "var/log/pods/kube-system_other_11111111-0b4c-4b7e-9d7c-1f2e3d4c5b6a/x", "");
	info = named(*state, "/kubepods/burstable/pod" UID "/" ID);
	assert_null(info.container_name);
	assert_string_equal(info.pod_name, "coredns-1");
	assert_string_equal(info.pod_namespace, "kube-system");
	cgroup_info_done(&info);
	put(*state, "var/log/containers/coredns-1_kube-system_dns-" ID ".log", "");
	info = named(*state, "/kubepods/burstable/pod" UID "/" ID);
	assert_string_equal(info.container_name, "dns");
	assert_string_equal(info.pod_name, "coredns-1");
	assert_string_equal(info.pod_namespace, "kube-system");
	cgroup_info_done(&info);
}

static void broken_files_give_no_name(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"{\"Name\"",
		"{\"Name\":",
		"{\"Name\":\"",
		"{\"Name\":\"/x",
		"{\"Name\":\"\"}",
		"{\"Name\":{}}",
		"{\"Name\":\"a\\u0000b\"}",
		"]]]]}\"Name\":\"x\"",
		"\\\"Name\":",
		"[[[[[[\"Name\":\"x\"",
		"{\"Name\":12}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct cgroup_info info;

		put(*state, "var/lib/docker/containers/" ID "/config.v2.json", texts[i]);
		info = named(*state, "/docker/" ID);
		if (info.container_name && strcmp(info.container_name, "x"))
			fail_msg("%s gave %s", texts[i], info.container_name);
		assert_true(!info.container_name || !strcmp(texts[i], "{\"Name\":\"/x"));
		cgroup_info_done(&info);
	}
}

/* A pipe or a link where the file should be: opening it must not wait, following it must not lead anywhere. */
static void what_is_no_plain_file_is_not_read(void **state)
{
	struct tree *t = *state;
	struct cgroup_info info;

	make_dirs(t, "var/lib/docker/containers/" ID "/x");
	assert_int_equal(mkfifoat(t->fd, "var/lib/docker/containers/" ID "/config.v2.json", 0644), 0);
	info = named(t, "/docker/" ID);
	assert_null(info.container_name);
	cgroup_info_done(&info);

	put(t, "secret", "{\"Name\":\"/secret\"}");
	make_dirs(t, "var/lib/docker/containers/" ID2 "/x");
	assert_int_equal(symlinkat("../../../../../secret", t->fd,
				   "var/lib/docker/containers/" ID2 "/config.v2.json"),
			 0);
	info = named(t, "/docker/" ID2);
	assert_null(info.container_name);
	cgroup_info_done(&info);
}

/* ---- the v2 hierarchy ---- */

static void the_v2_mount_is_found_among_others(void **state)
{
	static const struct {
		const char *text;
		int result;
		const char *path;
	} rows[] = {
		{ "24 1 0:22 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n", 0,
		  "/sys/fs/cgroup" },
		{ "24 1 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw", 0, "/sys/fs/cgroup" },
		{ "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw\n"
		  "41 31 0:38 / /sys/fs/cgroup/unified rw shared:1 master:2 - cgroup2 cgroup2 rw\n",
		  0, "/sys/fs/cgroup/unified" },
		{ "1 1 0:1 /part /mnt/a rw - cgroup2 x rw\n1 1 0:1 / /mnt/b rw - cgroup2 x rw\n", 0,
		  "/mnt/b" },
		{ "1 1 0:1 /part /mnt/a rw - cgroup2 x rw\n", 0, "/mnt/a" },
		{ "1 1 0:1 / /mnt/with\\040space\\134n rw - cgroup2 x rw\n", 0, "/mnt/with space\\n" },
		{ "1 1 0:1 / /mnt/odd\\04 rw - cgroup2 x rw\n", 0, "/mnt/odd\\04" },
		{ "1 1 0:1 / /mnt/cgroup2 rw - ext4 cgroup2 rw\n", -ENOENT },
		{ "1 1 0:1 / /mnt rw\n", -ENOENT },
		{ "- - - - -\n\n\n", -ENOENT },
		{ "", -ENOENT },
	};
	char path[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(cgroup2_mount(rows[i].text, path, sizeof(path)), rows[i].result);
		if (!rows[i].result)
			assert_string_equal(path, rows[i].path);
	}
	assert_int_equal(cgroup2_mount(rows[0].text, path, 5), -ENAMETOOLONG);
}

static int find_mount(char *mount, size_t size)
{
	auto_fclose FILE *f = fopen("/proc/self/mountinfo", "re");
	char text[65536];

	if (!f)
		return -1;
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	return cgroup2_mount(text, mount, size);
}

static void a_cgroup_is_found_by_its_id(void **state)
{
	char mount[PATH_MAX], dir[PATH_MAX + 64], path[PATH_MAX];
	auto_close int fd = -1;
	struct stat st;

	(void)state;
	if (geteuid() != 0) {
		print_message("needs root\n");
		skip();
	}
	if (find_mount(mount, sizeof(mount))) {
		print_message("needs a cgroup v2 mount\n");
		skip();
	}
	snprintf(dir, sizeof(dir), "%s/portlog-test-%d", mount, getpid());
	if (mkdir(dir, 0755)) {
		print_message("needs a writable cgroup v2 mount\n");
		skip();
	}
	fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(cgroup_path_by_id(fd, mount, st.st_ino, path, sizeof(path)), 0);
	assert_string_equal(path, dir + strlen(mount));
	assert_int_equal(cgroup_path_by_id(fd, mount, st.st_ino, path, 4), -ENAMETOOLONG);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(cgroup_path_by_id(fd, mount, st.st_ino, path, sizeof(path)), 0);
	assert_string_equal(path, "/");
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(cgroup_path_by_id(fd, mount, st.st_ino, path, sizeof(path)), -ESTALE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_known_path_names_its_unit_container_and_pod),
		cmocka_unit_test(bytes_that_are_no_text_stay_as_they_are),
		cmocka_unit_test(a_path_of_thousands_of_components_is_read_from_its_end),
		cmocka_unit_test_setup_teardown(docker_says_the_name_of_a_container, tree_setup,
						tree_teardown),
		cmocka_unit_test_setup_teardown(dockershim_names_carry_the_pod, tree_setup, tree_teardown),
		cmocka_unit_test_setup_teardown(podman_says_the_name_of_a_container, tree_setup,
						tree_teardown),
		cmocka_unit_test_setup_teardown(the_container_specification_says_names_of_container_and_pod,
						tree_setup, tree_teardown),
		cmocka_unit_test_setup_teardown(kubelets_log_directories_say_the_rest, tree_setup,
						tree_teardown),
		cmocka_unit_test_setup_teardown(broken_files_give_no_name, tree_setup, tree_teardown),
		cmocka_unit_test_setup_teardown(what_is_no_plain_file_is_not_read, tree_setup, tree_teardown),
		cmocka_unit_test(the_v2_mount_is_found_among_others),
		cmocka_unit_test(a_cgroup_is_found_by_its_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
