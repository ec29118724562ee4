"""The operators' role: what it may do to the database without being a superuser, and that an older stack gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg  # pyright: ignore[reportMissingTypeStubs]  # asyncpg ships no type information
import pytest
from payment_service.database import scram
from payment_service.database.provision import provision

from tests.sample_app.support import until_true

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sample_app.support import Place

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

ROLE = """
    SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolconnlimit
    FROM pg_roles WHERE rolname = 'dba'
"""
MEMBER_OF = """
    SELECT pg_get_userbyid(roleid), admin_option FROM pg_auth_members WHERE pg_get_userbyid(member) = 'dba'
"""


async def test_an_operator_is_no_superuser_and_has_a_bounded_number_of_sessions(own_place: Place) -> None:
    async with own_place.connect("dba") as operator:
        row = await operator.fetchrow(ROLE)
        assert row is not None
        assert list(row) == [False, False, True, True, False, 20]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await operator.fetch("SELECT rolpassword FROM pg_authid")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await operator.execute("ALTER SYSTEM SET shared_buffers = '128MB'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await operator.execute("CREATE DATABASE other")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await operator.execute("ALTER ROLE postgres CONNECTION LIMIT 1")


async def test_it_does_to_tables_what_their_owner_does(own_place: Place) -> None:
    async with own_place.connect("dba") as operator:
        await operator.execute("DROP INDEX payments_customer_id_created_at_idx")
        await operator.execute("CREATE INDEX CONCURRENTLY again ON payments (customer_id, created_at)")
        await operator.execute("ALTER TABLE payments SET (autovacuum_enabled = off)")
        await operator.execute("VACUUM ANALYZE payments")
        await operator.execute("SET ROLE payments_owner")
        await operator.execute("CREATE TABLE made (id integer)")
        assert await operator.fetchval("SELECT tableowner FROM pg_tables WHERE tablename = 'made'") == "payments_owner"


async def test_it_sees_and_ends_sessions_of_others_but_not_of_superusers(own_place: Place) -> None:
    async with (
        own_place.connect("dba") as operator,
        own_place.connect("payment_app") as application,
        own_place.connect() as superuser,
    ):
        seen = await operator.fetchval("SELECT query FROM pg_stat_activity WHERE usename = 'payment_app' LIMIT 1")
        assert "insufficient privilege" not in seen, "pg_monitor"
        ended = await application.fetchval("SELECT pg_backend_pid()")
        assert await operator.fetchval("SELECT pg_terminate_backend($1, 5000)", ended)
        assert not await operator.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", ended)
        kept = await superuser.fetchval("SELECT pg_backend_pid()")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await operator.fetchval("SELECT pg_terminate_backend($1)", kept)


async def test_it_sets_the_password_of_the_services_role(own_place: Place) -> None:
    verifier = scram.make_verifier("the payment-app-password")
    async with own_place.connect("dba") as operator, own_place.connect() as superuser:
        await operator.execute(f"ALTER ROLE payment_app PASSWORD '{verifier}'")
        stored = await superuser.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = 'payment_app'")
        assert stored == verifier


async def test_it_tunes_the_server_and_has_it_read_its_settings_again(own_place: Place) -> None:
    async with own_place.connect("dba") as operator:
        before = await operator.fetchval("SHOW max_wal_size")
        try:
            await operator.execute("ALTER SYSTEM SET max_wal_size = '256MB'")
            await operator.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '512MB'")
            assert await operator.fetchval("SELECT pg_reload_conf()")
            await until_true(lambda: has(own_place, "max_wal_size", "256MB"))
        finally:
            await operator.execute("ALTER SYSTEM RESET max_wal_size")
            await operator.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
            await operator.fetchval("SELECT pg_reload_conf()")
        await until_true(lambda: has(own_place, "max_wal_size", before))
        await operator.execute("SET deadlock_timeout = '1s'")
        await operator.execute("CHECKPOINT")


async def has(place: Place, setting: str, value: str) -> bool:
    async with place.connect("dba") as session:
        return await session.fetchval(f"SHOW {setting}") == value


async def test_it_makes_and_drops_replication_slots(own_place: Place) -> None:
    async with own_place.connect("dba") as operator:
        await operator.execute("SELECT pg_create_physical_replication_slot('of_an_operator', true)")
        await operator.execute("SELECT pg_drop_replication_slot('of_an_operator')")


async def test_nobody_else_may_do_any_of_it(own_place: Place) -> None:
    async with own_place.connect("payment_app") as application:
        for statement in (
            "ALTER SYSTEM SET max_wal_size = '256MB'",
            "SELECT pg_reload_conf()",
            "CHECKPOINT",
            "SELECT pg_create_physical_replication_slot('mine')",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await application.execute(statement)


async def test_a_stack_that_was_made_before_gets_the_role_and_keeps_its_data(own_place: Place, tmp_path: Path) -> None:
    other = tmp_path / "dba-password"
    other.write_text("of another stack", encoding="utf-8")
    async with own_place.connect() as superuser:
        # The role of other databases cannot be dropped; without any rights it is as good as absent.
        await superuser.execute("REVOKE payments_owner, payment_app, pg_monitor, pg_signal_backend FROM dba")
        await superuser.execute("REVOKE ALL ON PARAMETER max_wal_size FROM dba")
        await superuser.execute("REVOKE ALL ON FUNCTION pg_reload_conf() FROM dba")
        await superuser.execute("ALTER ROLE dba NOCREATEROLE NOREPLICATION CONNECTION LIMIT 3")
        made = await superuser.fetchval("SELECT completed_at FROM seed_info")
        for _ in range(2):
            await provision(own_place.task_settings())
            members = {row[0]: row[1] for row in await superuser.fetch(MEMBER_OF)}
            assert members == {
                "pg_monitor": False,
                "pg_signal_backend": False,
                "pg_checkpoint": False,
                "payments_owner": True,
                "payment_app": True,
            }
            row = await superuser.fetchrow(ROLE)
            assert row is not None
            assert list(row) == [False, False, True, True, False, 20]
            assert await superuser.fetchval("SELECT has_parameter_privilege('dba', 'max_wal_size', 'ALTER SYSTEM')")
            assert await superuser.fetchval("SELECT has_function_privilege('dba', 'pg_reload_conf()', 'EXECUTE')")
        assert await superuser.fetchval("SELECT completed_at FROM seed_info") == made
        await provision(own_place.task_settings(dba_password_file=other))
        stored = await superuser.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = 'dba'")
        assert scram.matches("of another stack", stored)
        await provision(own_place.task_settings())
