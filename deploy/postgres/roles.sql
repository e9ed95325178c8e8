-- Creates the roles of taxi_assets on a server where its user may not create roles. An administrator runs this file
-- in the platform's database before the first load, and again after it; each run may be repeated:
--
--   psql --dbname taxi --set taxi_user=taxi --file deploy/postgres/roles.sql
--
-- taxi_owner owns schemas and tables. taxi_ledger owns the ledger, the schema `taxi_assets`: the second run hands it
-- over, so that the user can only add to it. taxi_loader writes trips and adds to the ledger. taxi_reader reads; grant
-- it to analysts. The user has the rights of taxi_owner and taxi_loader only after SET ROLE, as the platform does it.
\set ON_ERROR_STOP on

SELECT format('CREATE ROLE %I NOLOGIN', role)
FROM unnest(ARRAY['taxi_owner', 'taxi_ledger', 'taxi_loader', 'taxi_reader']) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role)
\gexec

SELECT current_setting('server_version_num')::int >= 160000 AS new \gset
\if :new
GRANT taxi_owner, taxi_loader TO :"taxi_user" WITH INHERIT FALSE, SET TRUE;
GRANT taxi_reader TO :"taxi_user" WITH INHERIT TRUE, SET TRUE;
\else
GRANT taxi_owner, taxi_loader, taxi_reader TO :"taxi_user";
ALTER ROLE :"taxi_user" NOINHERIT;
\endif
-- Somebody may have granted it for a migration.
SELECT format('REVOKE taxi_ledger FROM %I', :'taxi_user')
WHERE EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
              WHERE r.rolname = 'taxi_ledger' AND u.rolname = :'taxi_user')
\gexec

SELECT format('GRANT CREATE ON DATABASE %I TO taxi_owner', current_database())
\gexec

-- The ledger, once the first load has made it.
SELECT format('ALTER %s %s OWNER TO taxi_ledger', kind, name)
FROM (SELECT 1 AS place, 'SCHEMA' AS kind, 'taxi_assets' AS name FROM pg_namespace WHERE nspname = 'taxi_assets'
      UNION ALL
      SELECT 2, 'TABLE', format('taxi_assets.%I', relname) FROM pg_class
      WHERE relnamespace = to_regnamespace('taxi_assets') AND relkind = 'r'
      UNION ALL
      SELECT 2, 'FUNCTION', oid::regprocedure::text FROM pg_proc
      WHERE pronamespace = to_regnamespace('taxi_assets')) AS ledger
ORDER BY place
\gexec
SELECT 'GRANT USAGE ON SCHEMA taxi_assets TO taxi_owner, taxi_loader, taxi_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA taxi_assets TO taxi_owner, taxi_loader, taxi_reader;
GRANT INSERT ON taxi_assets.load_log TO taxi_loader'
WHERE to_regclass('taxi_assets.load_log') IS NOT NULL
\gexec

-- The schema `dagster` has Dagster's own records. It belongs to the user.
CREATE SCHEMA IF NOT EXISTS dagster AUTHORIZATION :"taxi_user";
