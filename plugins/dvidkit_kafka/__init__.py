"""Publishes mutations to Apache Kafka, in the topics and JSON that programs written for DVID follow."""
