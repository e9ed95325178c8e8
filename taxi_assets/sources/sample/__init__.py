"""The sample source: a web server on loopback that makes months of trips up, with the dirt of the real ones.

`python -m taxi_assets.sources.sample --port 8000 --folder .taxi/sample` serves, for any number of rows,
`/rows-100000/yellow/yellow_tripdata_2021-01.csv.gz`, `/rows-100000/trip-data/yellow_tripdata_2021-01.parquet` (the same
trips) and `/rows-100000/misc/taxi_zone_lookup.csv`. Every answer carries the header `X-Taxi-Sample: made up`.
"""
