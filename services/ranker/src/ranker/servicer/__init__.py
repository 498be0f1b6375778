"""The ranker's gRPC services, one module each. They translate and decide nothing.

requests   fields that several services read: catalog, shopper, pages
ranking    RankingService       events   EventService       answers   AnswerService
models     ModelService         profiles ProfileService
"""
