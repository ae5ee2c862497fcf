# To add a unit test: write test_<folder>_<what>.c and add a line here. A test of several files also gets
# tests_unit_test_x_SOURCES.
UNIT_TESTS = \
	%D%/test_app_bundle \
	%D%/test_app_config \
	%D%/test_app_config_errors \
	%D%/test_app_control_rates \
	%D%/test_app_env \
	%D%/test_app_guests \
	%D%/test_app_ipc \
	%D%/test_app_run_env \
	%D%/test_app_run_kept \
	%D%/test_app_run_user \
	%D%/test_app_trust \
	%D%/test_app_registries \
	%D%/test_audit_args \
	%D%/test_app_runs \
	%D%/test_audit_inflight \
	%D%/test_audit_log \
	%D%/test_audit_records \
	%D%/test_audit_seals \
	%D%/test_audit_threads \
	%D%/test_audit_verify \
	%D%/test_config_schema \
	%D%/test_fetch_connect \
	%D%/test_fetch_guard \
	%D%/test_fetch_pool \
	%D%/test_fetch_tls \
	%D%/test_http_h1 \
	%D%/test_http_target \
	%D%/test_inspect_budgets \
	%D%/test_loop \
	%D%/test_policy_cases \
	%D%/test_policy_diff \
	%D%/test_policy_errors \
	%D%/test_policy_gist \
	%D%/test_policy_globs \
	%D%/test_policy_lint \
	%D%/test_policy_opens \
	%D%/test_policy_keys \
	%D%/test_policy_snapshot \
	%D%/test_policy_widening \
	%D%/test_proxy_blockpage \
	%D%/test_proxy_capture \
	%D%/test_proxy_certs \
	%D%/test_proxy_dns \
	%D%/test_proxy_duplex \
	%D%/test_proxy_failures \
	%D%/test_proxy_flow \
	%D%/test_proxy_gate \
	%D%/test_proxy_relay \
	%D%/test_proxy_reload \
	%D%/test_proxy_snapshot \
	%D%/test_proxy_tasks \
	%D%/test_regex \
	%D%/test_sandbox_agent \
	%D%/test_sandbox_jail_wire \
	%D%/test_sandbox_lockin \
	%D%/test_sandbox_mounts_git \
	%D%/test_sandbox_mounts_plan \
	%D%/test_sandbox_network \
	%D%/test_tls_handshake \
	%D%/test_tls_hello \
	%D%/test_tls_keeper \
	%D%/test_tls_mint \
	%D%/test_tls_roots \
	%D%/test_tls_server \
	%D%/test_tls_verify

%C%_test_app_config_errors_SOURCES = %D%/test_app_config_errors.c %D%/case_files.c %D%/case_files.h
%C%_test_app_registries_SOURCES = %D%/test_app_registries.c %D%/case_files.c %D%/case_files.h
%C%_test_audit_args_SOURCES = %D%/test_audit_args.c %D%/http_cases.c %D%/http_cases.h
%C%_test_audit_log_SOURCES = %D%/test_audit_log.c %D%/audit_fixture.c %D%/audit_fixture.h
%C%_test_audit_records_SOURCES = %D%/test_audit_records.c %D%/http_cases.c %D%/http_cases.h
%C%_test_audit_seals_SOURCES = %D%/test_audit_seals.c %D%/audit_fixture.c %D%/audit_fixture.h
%C%_test_audit_threads_SOURCES = %D%/test_audit_threads.c %D%/audit_fixture.c %D%/audit_fixture.h
%C%_test_audit_verify_SOURCES = %D%/test_audit_verify.c %D%/audit_fixture.c %D%/audit_fixture.h
fetch_client = %D%/fetch_client.c %D%/fetch_client.h %D%/fetch_world.c %D%/fetch_world.h
%C%_test_fetch_connect_SOURCES = $(fetch_client) %D%/test_fetch_connect.c
%C%_test_fetch_pool_SOURCES = $(fetch_client) %D%/test_fetch_pool.c
%C%_test_fetch_tls_SOURCES = $(fetch_client) %D%/test_fetch_tls.c
%C%_test_http_h1_SOURCES = %D%/http_cases.c %D%/http_cases.h %D%/test_http_h1.c
%C%_test_http_target_SOURCES = %D%/http_cases.c %D%/http_cases.h %D%/test_http_target.c
%C%_test_policy_cases_SOURCES = %D%/test_policy_cases.c %D%/case_files.c %D%/case_files.h \
	%D%/policy_texts.c %D%/policy_texts.h
%C%_test_policy_errors_SOURCES = %D%/test_policy_errors.c %D%/case_files.c %D%/case_files.h \
	%D%/policy_texts.c %D%/policy_texts.h
%C%_test_policy_lint_SOURCES = %D%/test_policy_lint.c %D%/case_files.c %D%/case_files.h
%C%_test_proxy_certs_SOURCES = %D%/test_proxy_certs.c %D%/tls_fixture.c %D%/tls_fixture.h
proxy_world = \
	%D%/audit_fixture.c \
	%D%/audit_fixture.h \
	%D%/fetch_world.c \
	%D%/fetch_world.h \
	%D%/proxy_origin.c \
	%D%/proxy_origin.h \
	%D%/proxy_world.c \
	%D%/proxy_world.h \
	%D%/tls_fixture.c \
	%D%/tls_fixture.h
%C%_test_proxy_failures_SOURCES = $(proxy_world) %D%/test_proxy_failures.c
%C%_test_proxy_flow_SOURCES = $(proxy_world) %D%/test_proxy_flow.c
%C%_test_proxy_relay_SOURCES = $(proxy_world) %D%/test_proxy_relay.c
%C%_test_proxy_reload_SOURCES = $(proxy_world) %D%/test_proxy_reload.c
%C%_test_sandbox_mounts_git_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS) -DEXEAT_BUBBLEWRAP=\"$(BUBBLEWRAP)\"
%C%_test_tls_handshake_SOURCES = %D%/test_tls_handshake.c %D%/tls_fixture.c %D%/tls_fixture.h
%C%_test_tls_keeper_SOURCES = %D%/test_tls_keeper.c %D%/tls_fixture.c %D%/tls_fixture.h
%C%_test_tls_mint_SOURCES = %D%/test_tls_mint.c %D%/tls_fixture.c %D%/tls_fixture.h
%C%_test_tls_roots_SOURCES = %D%/test_tls_roots.c %D%/tls_fixture.c %D%/tls_fixture.h
%C%_test_tls_server_SOURCES = %D%/test_tls_server.c %D%/tls_fixture.c %D%/tls_fixture.h
%C%_test_tls_verify_SOURCES = %D%/test_tls_verify.c %D%/tls_fixture.c %D%/tls_fixture.h

# libFuzzer, which a build with --enable-fuzz links into all test programs, brings a main() of its own.
if HAVE_CMOCKA
if !ENABLE_FUZZ
check_PROGRAMS += $(UNIT_TESTS)
TESTS          += $(UNIT_TESTS)
endif
else
check-local:
	@echo 'NOTE: the unit tests are left out: cmocka was not found when configuring'
endif
