"""The ranker's gRPC services, one module each. They translate and decide nothing.

requests   what several of them read from requests: catalog, shopper, pages
ranking    RankingService       events   EventService       answers   AnswerService
models     ModelService         profiles ProfileService
"""
