-- Creates the login of the platform, its database and its roles. The image `postgres` runs this file once, as the
-- superuser, after it creates the data folder. The superuser then has no password and logs in on the socket alone.
\set ON_ERROR_STOP on
\getenv password POSTGRES_PASSWORD

CREATE ROLE taxi LOGIN PASSWORD :'password';
CREATE DATABASE taxi OWNER taxi;

\connect taxi
\set taxi_user taxi
\ir ../postgres/roles.sql

ALTER ROLE CURRENT_USER PASSWORD NULL;
