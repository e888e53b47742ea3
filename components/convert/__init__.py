"""Convert the source to a dataset, with Apache Beam."""
