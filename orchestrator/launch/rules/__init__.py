"""What a cluster's file has to say before anybody pays for the cluster.

Nothing here trusts the file: whatever YAML may hold, the answer is findings.
"""
