"""AWS on this machine: Lambda's runtime, API Gateway, streams, schedule, and a stand-in for the stores."""
