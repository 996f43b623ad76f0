/* SPDX-License-Identifier: BSD-2-Clause */
/* The CPU models, what they depend on, and the topology written into them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "base/base.h"
#include "x86/cpuid.h"

static struct cpuid_table model(const char *name)
{
	struct cpuid_table t;
	struct error err = {0};

	assert_int_equal(cpuid_model(name, &t, &err), 0);
	return t;
}

static void unknown_model_is_refused_with_the_known_names(void **state)
{
	struct cpuid_table t;
	struct error err = {0};

	assert_int_equal(cpuid_model("pentium", &t, &err), -EINVAL);
	assert_string_equal(err.text, "unknown CPU model 'pentium' (known: auto, host, x86-64-v2, "
				      "x86-64-v3)");
}

static void v2_has_its_level_and_no_avx(void **state)
{
	struct cpuid_table t = model("x86-64-v2");
	static const enum cpuid_feature has[] = {
		FEAT_NONE,
		FEAT_SSE3,
		FEAT_SSSE3,
		FEAT_SSE41,
		FEAT_SSE42,
		FEAT_POPCNT,
		FEAT_CX16,
		FEAT_LAHF,
		FEAT_FSGSBASE,
		FEAT_SMEP,
		FEAT_SMAP,
		FEAT_UMIP,
		FEAT_PCID,
		FEAT_INVPCID,
		FEAT_PDPE1GB,
		FEAT_NX,
		FEAT_RDTSCP,
		FEAT_X2APIC,
		FEAT_TSC_DEADLINE,
		FEAT_XSAVE,
		FEAT_ERMS,
		FEAT_XSAVEOPT,
		FEAT_XSAVEC,
		FEAT_XGETBV1,
		FEAT_ARCH_CAPABILITIES,
		FEAT_LM,
		FEAT_SYSCALL,
		FEAT_FSRM,
		FEAT_HYPERVISOR,
		FEAT_SPEC_CTRL,
		FEAT_BHI_CTRL,
	};
	static const enum cpuid_feature lacks[] = {
		FEAT_AVX,   FEAT_AVX2,	  FEAT_BMI1, FEAT_FMA,	 FEAT_F16C,   FEAT_MOVBE,
		FEAT_LZCNT, FEAT_MONITOR, FEAT_VAES, FEAT_RDPID, FEAT_XSAVES, FEAT_OSXSAVE};

	for (unsigned i = 0; i < ARRAY_SIZE(has); i++)
		assert_true(cpuid_has(&t, has[i]));
	for (unsigned i = 0; i < ARRAY_SIZE(lacks); i++)
		assert_false(cpuid_has(&t, lacks[i]));
}

static void v2_xsave_area_ends_after_sse(void **state)
{
	struct cpuid_table t = model("x86-64-v2");
	struct cpuid_result r = cpuid_lookup(&t, 0xd, 0);

	assert_int_equal(r.eax, 3);
	assert_int_equal(r.ebx, 576);
	assert_int_equal(r.ecx, 576);
	r = cpuid_lookup(&t, 0xd, 2);
	assert_int_equal(r.eax, 0);
}

static void v3_adds_avx_state(void **state)
{
	struct cpuid_table t;
	struct error err;

	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2") ||
	    !__builtin_cpu_supports("fma")) {
		assert_int_equal(cpuid_model("x86-64-v3", &t, &err), -EINVAL);
		return;
	}
	t = model("x86-64-v3");
	assert_true(cpuid_has(&t, FEAT_AVX2));
	assert_true(cpuid_has(&t, FEAT_BMI2));
	assert_true(cpuid_has(&t, FEAT_LZCNT));
	struct cpuid_result r = cpuid_lookup(&t, 0xd, 0);
	assert_int_equal(r.eax, 7);
	assert_int_equal(r.ecx, 832);
	r = cpuid_lookup(&t, 0xd, 1);
	assert_int_equal(r.eax, 7);
	assert_int_equal(r.ebx, 832);
	r = cpuid_lookup(&t, 0xd, 2);
	assert_int_equal(r.eax, 256);
	assert_int_equal(r.ebx, 576);
	r = cpuid_lookup(&t, 0x80000002, 0);
	assert_memory_equal(&r, "bantam x86-64-v3", 16);
}

static void auto_is_the_best_named_level(void **state)
{
	struct cpuid_table t = model("auto");

	assert_int_equal(cpuid_has(&t, FEAT_AVX2), __builtin_cpu_supports("avx2") != 0);
	assert_true(cpuid_lookup(&t, 1, 0).eax != 0);
}

static void host_model_has_no_monitor_and_a_consistent_xsave_area(void **state)
{
	struct cpuid_table t = model("host");
	struct cpuid_result r = cpuid_lookup(&t, 0xd, 0);
	uint32_t end = 576;

	assert_false(cpuid_has(&t, FEAT_MONITOR));
	assert_true(cpuid_has(&t, FEAT_X2APIC));
	for (unsigned i = 2; i < 32; i++) {
		struct cpuid_result c = cpuid_lookup(&t, 0xd, i);

		assert_int_equal(c.eax != 0, r.eax >> i & 1);
		if (c.eax && c.ebx + c.eax > end)
			end = c.ebx + c.eax;
	}
	assert_int_equal(r.ecx, end);
}

static void kvm_leaves_promise_a_stable_clock(void **state)
{
	struct cpuid_table t = model("x86-64-v2");
	struct cpuid_result r = cpuid_lookup(&t, 0x40000000, 0);

	assert_int_equal(r.eax, 0x40000001);
	assert_memory_equal(&r.ebx, "KVMKVMKVM\0\0\0", 12);
	r = cpuid_lookup(&t, 0x40000001, 0);
	assert_int_equal(r.eax, 0x0100080b);
	assert_int_equal(cpuid_lookup(&t, 0x80000007, 0).edx, 0x100);
	assert_int_equal(cpuid_lookup(&t, 0x80000008, 0).eax >> 8, 48);
	assert_true((cpuid_lookup(&t, 0x80000008, 0).eax & 0xff) >= 36);
}

static void set_vendor(struct cpuid_table *t, const char *name)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(t, 0, 0);

	memcpy(&e->ebx, name, 4);
	memcpy(&e->edx, name + 4, 4);
	memcpy(&e->ecx, name + 8, 4);
}

static void leaves_out_of_range_give_the_highest_basic_leaf(void **state)
{
	struct cpuid_table t = model("x86-64-v2");
	const struct cpu_topology topo = {1, 2, 1};

	set_vendor(&t, "GenuineIntel");
	cpuid_set_topology(&t, &topo, 1);
	const uint32_t out[] = {0x20, 0x30000000, 0x40000002, 0x7fffffff, 0x8000ffff, 0xc0000000};
	for (unsigned i = 0; i < ARRAY_SIZE(out); i++) {
		struct cpuid_result r = cpuid_lookup(&t, out[i], 1),
				    top = cpuid_lookup(&t, 0x1f, 1);

		assert_memory_equal(&r, &top, sizeof(r));
		assert_int_equal(r.ecx, 0x201);
	}
	assert_int_equal(cpuid_lookup(&t, 0x15, 0).eax, 0);

	set_vendor(&t, "AuthenticAMD");
	assert_int_equal(cpuid_lookup(&t, 0x20, 1).ecx, 0);
}

static void vendor_is_a_feature(void **state)
{
	struct cpuid_table t = model("auto");

	set_vendor(&t, "GenuineIntel");
	assert_true(cpuid_has(&t, FEAT_NOT_AMD));
	assert_false(cpuid_has(&t, FEAT_AMD));
	set_vendor(&t, "AuthenticAMD");
	assert_true(cpuid_has(&t, FEAT_AMD));
	assert_false(cpuid_has(&t, FEAT_NOT_AMD));
	set_vendor(&t, "HygonGenuine");
	assert_true(cpuid_has(&t, FEAT_AMD));
	/* It is no register that could be written. */
	cpuid_set_feature_word(&t, CPUID_VENDOR, 0);
	assert_true(cpuid_has(&t, FEAT_AMD));
}

static void settle_removes_what_needs_a_missing_feature(void **state)
{
	struct cpuid_table t = model("auto");
	uint32_t words[NR_CPUID_WORDS];

	cpuid_feature_words(&t, words);
	words[CPUID_1_ECX] &= ~BIT(26);
	cpuid_set_feature_word(&t, CPUID_1_ECX, words[CPUID_1_ECX]);
	cpuid_settle(&t);
	assert_false(cpuid_has(&t, FEAT_AVX));
	assert_false(cpuid_has(&t, FEAT_AVX2));
	assert_false(cpuid_has(&t, FEAT_FMA));
	assert_false(cpuid_has(&t, FEAT_XSAVEOPT));
	assert_null(cpuid_find(&t, 0xd, 0));
	assert_int_equal(cpuid_lookup(&t, 0xd, 0).ecx, 0);
	assert_true(cpuid_has(&t, FEAT_SSE42));
}

static void apic_ids_leave_gaps_for_odd_counts(void **state)
{
	const struct cpu_topology plain = {2, 2, 2}, odd = {2, 3, 1};

	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(topology_apic_id(&plain, i), i);
	assert_int_equal(topology_apic_id(&odd, 2), 2);
	assert_int_equal(topology_apic_id(&odd, 3), 4);
	assert_int_equal(topology_apic_id(&odd, 5), 6);
}

static void topology_reaches_every_leaf(void **state)
{
	struct cpuid_table t = model("auto");
	const struct cpu_topology topo = {2, 3, 2};

	cpuid_set_topology(&t, &topo, 9); /* socket 1, core 1, thread 1 */
	uint32_t id = 1 << 3 | 1 << 1 | 1;
	struct cpuid_result r = cpuid_lookup(&t, 1, 0);

	assert_int_equal(r.ebx >> 24, id);
	assert_int_equal(r.ebx >> 16 & 0xff, 8);
	assert_true(r.edx & BIT(28));
	for (unsigned leaf = 0xb; leaf <= 0x1f; leaf += 0x1f - 0xb) {
		r = cpuid_lookup(&t, leaf, 0);
		assert_int_equal(r.eax, 1);
		assert_int_equal(r.ebx, 2);
		assert_int_equal(r.ecx, 0x100);
		assert_int_equal(r.edx, id);
		r = cpuid_lookup(&t, leaf, 1);
		assert_int_equal(r.eax, 3);
		assert_int_equal(r.ebx, 6);
		assert_int_equal(r.ecx, 0x201);
		r = cpuid_lookup(&t, leaf, 7);
		assert_int_equal(r.ebx, 0);
		assert_int_equal(r.ecx, 7);
		assert_int_equal(r.edx, id);
	}
	if (cpuid_find(&t, 4, 0)) {
		assert_int_equal(cpuid_lookup(&t, 4, 0).eax >> 14 & 0xfff,
				 1); /* L1: both threads */
		assert_int_equal(cpuid_lookup(&t, 4, 3).eax >> 14 & 0xfff, 7); /* L3: the socket */
		assert_int_equal(cpuid_lookup(&t, 4, 0).eax >> 26, 3);
		assert_int_equal(cpuid_lookup(&t, 4, 4).eax, 0);
	}
}

static void one_cpu_is_not_hyper_threaded(void **state)
{
	struct cpuid_table t = model("auto");
	const struct cpu_topology topo = {1, 1, 1};

	cpuid_set_topology(&t, &topo, 0);
	assert_false(cpuid_lookup(&t, 1, 0).edx & BIT(28));
	assert_int_equal(cpuid_lookup(&t, 0xb, 0).ebx, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_model_is_refused_with_the_known_names),
		cmocka_unit_test(v2_has_its_level_and_no_avx),
		cmocka_unit_test(v2_xsave_area_ends_after_sse),
		cmocka_unit_test(v3_adds_avx_state),
		cmocka_unit_test(auto_is_the_best_named_level),
		cmocka_unit_test(host_model_has_no_monitor_and_a_consistent_xsave_area),
		cmocka_unit_test(kvm_leaves_promise_a_stable_clock),
		cmocka_unit_test(leaves_out_of_range_give_the_highest_basic_leaf),
		cmocka_unit_test(vendor_is_a_feature),
		cmocka_unit_test(settle_removes_what_needs_a_missing_feature),
		cmocka_unit_test(apic_ids_leave_gaps_for_odd_counts),
		cmocka_unit_test(topology_reaches_every_leaf),
		cmocka_unit_test(one_cpu_is_not_hyper_threaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
