-- The roles of taxi_assets, for a server on which its user may not make roles. Run once, as an administrator, in the
-- platform's database; running it again changes nothing:
--
--   psql --dbname taxi --set taxi_user=taxi --file deploy/postgres/roles.sql
--
-- taxi_owner owns schemas, tables and the log of loads; taxi_loader writes trips and adds to the log; taxi_reader reads:
-- grant it to analysts.
\set ON_ERROR_STOP on

SELECT format('CREATE ROLE %I NOLOGIN', role)
FROM unnest(ARRAY['taxi_owner', 'taxi_loader', 'taxi_reader']) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role)
\gexec

GRANT taxi_owner, taxi_loader, taxi_reader TO :"taxi_user";

SELECT format('GRANT CREATE ON DATABASE %I TO taxi_owner', current_database())
\gexec

-- Dagster's own records stand in the schema `dagster`, which belongs to the user itself.
CREATE SCHEMA IF NOT EXISTS dagster AUTHORIZATION :"taxi_user";
