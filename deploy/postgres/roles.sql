-- Creates the roles of taxi_assets on a server where its user may not create roles. An administrator runs this file
-- once, in the platform's database; a second run changes nothing:
--
--   psql --dbname taxi --set taxi_user=taxi --file deploy/postgres/roles.sql
--
-- taxi_owner owns schemas, tables and the load log. taxi_loader writes trips and adds to the load log. taxi_reader
-- reads; grant it to analysts.
\set ON_ERROR_STOP on

SELECT format('CREATE ROLE %I NOLOGIN', role)
FROM unnest(ARRAY['taxi_owner', 'taxi_loader', 'taxi_reader']) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role)
\gexec

GRANT taxi_owner, taxi_loader, taxi_reader TO :"taxi_user";

SELECT format('GRANT CREATE ON DATABASE %I TO taxi_owner', current_database())
\gexec

-- The schema `dagster` has Dagster's own records. It belongs to the user.
CREATE SCHEMA IF NOT EXISTS dagster AUTHORIZATION :"taxi_user";
