<?php
// Recommends products by a photo, writes a click on the first of them, and handles two errors.
// Usage: php client.php URL PHOTO
declare(strict_types=1);

/** A failed call: `reason` says why (docs/integrate/errors.md); "" if no gateway answered. */
final class SightlineError extends RuntimeException
{
    public function __construct(string $message, public readonly string $status, public readonly string $reason)
    {
        parent::__construct($message);
    }
}

/** Calls the gateway over HTTP, with a deadline. Within it the service answers; `degradations` name what is missing. */
function call(string $url, array $request, float $seconds = 20): array
{
    $curl = curl_init($url);
    curl_setopt_array($curl, [
        CURLOPT_POSTFIELDS => json_encode($request, JSON_THROW_ON_ERROR),
        // Where the gateway authenticates callers, also: 'authorization: Bearer ' . $token
        CURLOPT_HTTPHEADER => ['content-type: application/json', "x-request-timeout: $seconds"],
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_TIMEOUT_MS => (int) (1000 * $seconds) + 1000,
    ]);
    $body = curl_exec($curl);
    if ($body === false) {
        throw new SightlineError(curl_error($curl), 'UNAVAILABLE', '');
    }
    $answer = json_decode($body, true, flags: JSON_THROW_ON_ERROR);
    if (curl_getinfo($curl, CURLINFO_RESPONSE_CODE) !== 200) {
        throw new SightlineError($answer['detail'] ?? '', $answer['code'] ?? 'UNKNOWN', $answer['reason'] ?? '');
    }
    return $answer;
}

[, $url, $path] = $argv;
$catalog = "$url/v1/catalogs/default";
$visitor = ['visitorId' => 'visitor-of-php'];
$request = [
    'signals' => [['image' => base64_encode(file_get_contents($path))]],
    'shopper' => $visitor,
    'pageSize' => 5,
];
$answer = call("$catalog:recommend", $request);
foreach ($answer['results'] as ['rank' => $rank, 'product' => $product]) {
    echo "$rank. {$product['productId']} {$product['title']}\n";
}
foreach ($answer['degradations'] ?? [] as $lost) {
    echo "degraded: {$lost['cause']}\n";
}

$click = [
    'eventId' => bin2hex(random_bytes(16)), // events with the same id count once
    'shopper' => $visitor,
    'type' => 'EVENT_TYPE_CLICK',
    'productId' => $answer['results'][0]['product']['productId'],
    'position' => 1,
    'attributionToken' => $answer['attributionToken'],
];
$written = call("$catalog/events:write", ['events' => [$click]]);
foreach ($written['statuses'] ?? [] as $status) {
    if (($status['code'] ?? 0) !== 0) {
        echo "not kept: {$status['message']}\n";
    }
}
echo "written: {$written['writtenCount']}\n";

try {
    call("$catalog:recommend", ['pageSize' => 1000] + $request);
} catch (SightlineError $error) {
    echo "refused: {$error->status} {$error->reason}: {$error->getMessage()}\n";
}
try {
    // A deadline of a millisecond is usually exceeded. With a short deadline, the answer may instead be degraded.
    call("$catalog:recommend", $request, 0.001);
} catch (SightlineError $error) {
    echo "too late: {$error->status}\n";
}
