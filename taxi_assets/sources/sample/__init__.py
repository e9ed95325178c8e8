"""The sample source: a web server on loopback with synthetic months of trips, as dirty as the real ones.

`python -m taxi_assets.sources.sample --port 8000 --folder .taxi/sample` serves, for any number of rows,
`/rows-100000/yellow/yellow_tripdata_2021-01.csv.gz`, `/rows-100000/trip-data/yellow_tripdata_2021-01.parquet` (the same
trips) and `/rows-100000/misc/taxi_zone_lookup.csv`. Every response has the header `X-Taxi-Sample: synthetic`.
"""
