-- Run once by the image `postgres`, as its superuser, when it has made the data folder: the login of the platform, its
-- database and its roles. The superuser keeps no password: from then on it logs in on the container's socket alone.
\set ON_ERROR_STOP on
\getenv password POSTGRES_PASSWORD

CREATE ROLE taxi LOGIN PASSWORD :'password';
CREATE DATABASE taxi OWNER taxi;

\connect taxi
\set taxi_user taxi
\ir ../postgres/roles.sql

ALTER ROLE CURRENT_USER PASSWORD NULL;
